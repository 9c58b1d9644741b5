"""keras.applications by name: networks, their preprocessing, and where their weights come from."""

import json
import os
import sys
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from keras import applications as stock
from keras.src.applications import imagenet_utils
from keras.src.legacy.saving import legacy_h5_format
from keras.src.utils import file_utils
from test_pretrained import chosen, photograph, written

import train
from foldernet import networks, shipped
from foldernet.networks import applications
from foldernet.pretrained import choice

SMALL = "MobileNetV3Small"
OFFLINE = "URL fetch failure on https://storage/x_notop.h5: None -- [Errno -2] Name not known"
PIXELS = np.random.default_rng(0).integers(0, 256, (2, 71, 71, 3)).astype("float32")


def family(name: str):
    return sys.modules[getattr(stock, name).__module__]


def weights_file(name: str, path: Path, seed: int = 0) -> Path:
    """A file such as Keras publishes, without the top layers, of the weights from a seed."""
    keras.utils.set_random_seed(seed)
    network = getattr(stock, name)(include_top=False, weights=None, input_shape=(96, 96, 3))
    for layer in network.layers:
        if isinstance(layer, keras.layers.Normalization) and layer.weights:  # EfficientNet's
            variance = [0.229, 0.224, 0.225]  # deviations, in truth: Keras makes up for it
            layer.set_weights([np.array([0.485, 0.456, 0.406]), np.array(variance), np.array(0)])
    with h5py.File(path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, network)
    return path


def no_network(monkeypatch, found: Path | None = None) -> None:
    """Keras finds this file in its cache, or it fails as where there is no network."""

    def get_file(*arguments, **options):
        if found is None:
            raise Exception(OFFLINE)  # as Keras does
        return str(found)

    monkeypatch.setattr(file_utils, "get_file", get_file)


# The preprocessing


@pytest.mark.parametrize("name", applications.VARIANTS)
def test_the_preprocessing_is_that_of_keras(name):
    images = keras.Input((71, 71, 3))
    network = keras.Model(images, applications.preprocessed(images, name))
    expected = family(name).preprocess_input(PIXELS.copy())
    np.testing.assert_allclose(network(PIXELS), expected, rtol=1e-6, atol=2e-5)


# One of each way: in the network as Normalization with and without weights, and as Rescaling; or
# not in it, with red and blue swapped or not.
@pytest.mark.filterwarnings("ignore:.input_shape. is undefined")  # for sides of 71
@pytest.mark.parametrize(
    ("name", "from_file"),
    [
        *[("EfficientNetB0", False), ("EfficientNetB0", True), ("EfficientNetV2B0", False)],
        *[("ConvNeXtTiny", True), (SMALL, True), ("VGG16", True), ("MobileNet", False)],
    ],
)
def test_features_are_those_of_keras(name, from_file, monkeypatch, tmp_path):
    """With ImageNet's weights, as far as Keras knows; ours perhaps from a file of them."""
    path = weights_file(name, tmp_path / "notop.h5")
    no_network(monkeypatch, path)
    shape = PIXELS.shape[1:]
    ours = applications.applications(shape, 3, name, str(path) if from_file else True)
    assert not [layer.name for layer in ours.layers if hasattr(layer, "layers")], "it is flat"
    assert not [layer for layer in ours.layers if isinstance(layer, keras.layers.Normalization)]
    features = keras.Model(ours.input, ours.get_layer("features").output)
    theirs = getattr(stock, name)(include_top=False, pooling="avg", input_shape=shape)
    expected = theirs(family(name).preprocess_input(PIXELS.copy()))
    np.testing.assert_allclose(features(PIXELS), expected, rtol=1e-3, atol=1e-4)


def test_a_gray_image_is_an_rgb_image_of_equal_channels():
    gray, color = (
        applications.applications((32, 32, channels), 3, SMALL, pretrained=False)
        for channels in (1, 3)
    )
    gray.set_weights(color.get_weights())
    pixels = PIXELS[:, :32, :32, :1]
    np.testing.assert_allclose(gray(pixels), color(pixels.repeat(3, axis=3)), atol=1e-6)


# The file


@pytest.mark.parametrize(("name", "side"), [("VGG16", 32), (SMALL, 32), ("ConvNeXtTiny", 32)])
def test_keras_opens_it_without_our_code(name, side, tmp_path):
    network = applications.applications((side, side, 3), 3, name, pretrained=False)
    network.save(tmp_path / "a.keras")
    opened = keras.saving.load_model(tmp_path / "a.keras", safe_mode=True)
    pixels = PIXELS[:, :side, :side]
    np.testing.assert_array_equal(opened(pixels), network(pixels))


def test_swapped_colors_survive_export(tmp_path):
    import tensorflow as tf

    images = keras.Input((71, 71, 3))
    network = keras.Model(images, applications.preprocessed(images, "ResNet50"))
    network.export(tmp_path / "saved", verbose=False)
    served = tf.saved_model.load(tmp_path / "saved").serve(tf.constant(PIXELS))
    np.testing.assert_allclose(served, network(PIXELS), atol=1e-5)


def test_names_do_not_depend_on_what_was_built_before():
    """Xception's are Keras's own numbers, in part."""

    def built():
        network = applications.applications((71, 71, 3), 3, "Xception", pretrained=False)
        return [layer.name for layer in network.layers if layer.weights]

    first, second = built(), built()
    assert first == second
    assert {"conv2d", "conv2d_3", "batch_normalization", "predictions"} <= set(first)


# A training


def test_a_training_with_weights_from_a_file_and_then_from_that_run(tmp_path, monkeypatch, capsys):
    no_network(monkeypatch)
    folder, path = written(tmp_path / "set", photograph), weights_file(SMALL, tmp_path / "notop.h5")
    command = [str(folder), "--model", f"applications:{SMALL}", "--image-size", "32"]
    assert train.main([*command, "--weights", str(path), "--name", "first"]) == 0
    assert "solved on 12 images" in capsys.readouterr().err
    config = json.loads(Path("models/first/config.json").read_text())["config"]
    assert config["model_options"] == [f"pretrained={path}"]
    with h5py.File(path) as file:
        expected = file["conv/conv/kernel"][()]
    assert train.main(["--resume", "--name", "first", "--epochs", "2"]) == 0
    assert train.main([*command, "--weights", "first", "--name", "second"]) == 0
    assert "solved on 12 images" in capsys.readouterr().err
    for name in ("first", "second"):
        network = keras.saving.load_model(f"models/{name}/best.keras")
        np.testing.assert_array_equal(network.get_layer("conv").get_weights()[0], expected)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--image-size", "32"], ["https://storage/x_notop.h5", "--weights FILE", "efficientnet_"]),
        (["--image-size", "24"], ["can't be built for 24x24", "at least 32x32"]),
        (["--weights", "gone.h5"], ["can't be built", "pretrained=gone.h5"]),
        (["--weights", "broken.h5"], ["can't be built", "pretrained=broken.h5"]),
        (["--weights", "other.h5"], ["can't be built", "Layer count mismatch"]),
        (["--model", "applications"], ["takes the name of a network", "ResNet50"]),
        (["--model", "applications:ResNet5"], ["no variant 'ResNet5'; did you mean 'ResNet50'?"]),
    ],
)
def test_what_cannot_be_had_gets_a_sentence(options, told, stripes_folder, monkeypatch, capsys):
    no_network(monkeypatch)
    Path("broken.h5").write_bytes(b"not a file of weights")
    if "other.h5" in options:
        weights_file("VGG16", Path("other.h5"))
    command = [str(stripes_folder), "--model", f"applications:{SMALL}", "--image-size", "32"]
    assert train.main([*command, *options]) == 1
    output = capsys.readouterr()
    assert all(words in output.err for words in told), output.err
    assert "Traceback" not in output.err
    assert output.out == ""


# The size


class Asked(Exception):
    """The size that a network of Keras has by default."""


@pytest.mark.parametrize("name", applications.VARIANTS)
def test_images_have_the_size_that_is_the_networks_own(name, monkeypatch):
    def obtain_input_shape(*arguments, default_size, **options):
        raise Asked(default_size)

    monkeypatch.setattr(imagenet_utils, "obtain_input_shape", obtain_input_shape)
    if family(name) is not family(SMALL):  # which has no default: its weights are of 224 pixels
        with pytest.raises(Asked, match=str(choice.OWN_SIZES.get(name, 224))):
            getattr(stock, name)(weights=None)
    options = chosen(shipped.folder("animals"), model=f"applications:{name}")
    assert options.image_size == choice.OWN_SIZES.get(name, 224)
    assert options.epochs == choice.EPOCHS[options.fine_tune]


# All of them


@pytest.mark.skipif(
    "FOLDERNET_ALL_NETWORKS" not in os.environ,
    reason="minutes: set FOLDERNET_ALL_NETWORKS=1, as .ci/run does",
)
@pytest.mark.parametrize("name", applications.VARIANTS)
def test_every_network_can_be_built(name, monkeypatch):
    def zeros(initializer, shape, dtype=None, **options):
        return keras.ops.zeros(shape, dtype)

    monkeypatch.setattr(keras.initializers.VarianceScaling, "__call__", zeros)  # random takes long
    network = networks.build(f"applications:{name}", (96, 96, 3), 3, ("pretrained=false",))
    assert not [layer.name for layer in network.layers if hasattr(layer, "layers")], "it is flat"
    assert [layer.name for layer in network.layers[-3:]] == ["features", "dropout", "predictions"]
