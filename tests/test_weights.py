"""Weights by layer name, from both formats of Keras 3."""

import json
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

import train
from foldernet import rooms
from foldernet.networks.simpleconv3 import simpleconv3
from foldernet.terminal import UserError
from foldernet.transfer import prepare, weights


def nested(head: int = 3, inner_name: str = "inner") -> keras.Model:
    """A model with a model inside, batch normalization, and a head of its own size."""
    inner = keras.Sequential(
        [keras.Input((8, 8, 4)), keras.layers.Conv2D(2, 3, name="inside")], name=inner_name
    )
    images = keras.Input((10, 10, 3))
    x = keras.layers.Conv2D(4, 3, name="conv")(images)
    x = keras.layers.BatchNormalization(name="norm")(x)
    x = keras.layers.Flatten()(inner(x))
    model = keras.Model(images, keras.layers.Dense(head, name="head")(x))
    for index, weight in enumerate(model.weights):
        weight.assign(np.full(weight.shape, index + 1.0) + np.random.rand(*weight.shape))
    return model


def save(model: keras.Model, path: Path) -> Path:
    if path.name.endswith(".weights.h5"):
        model.save_weights(path)
    else:
        model.save(path)
    return path


@pytest.fixture(params=["a.keras", "a.weights.h5"])
def kind(request):
    return request.param


def test_layers_of_the_same_name_and_shape_are_loaded(kind, tmp_path):
    source, target = nested(head=3), nested(head=5)
    head = target.get_layer("head").get_weights()
    report = dict(weights.load_by_name(target, save(source, tmp_path / kind)))
    assert report == {
        "conv": "loaded",
        "norm": "loaded",
        "inside": "loaded",
        "head": "other shape: (72, 3), (3,) in the file",
    }
    for name in ("conv", "norm"):
        for mine, theirs in zip(
            target.get_layer(name).get_weights(), source.get_layer(name).get_weights(), strict=True
        ):
            np.testing.assert_array_equal(mine, theirs)
    np.testing.assert_array_equal(target.get_layer("head").get_weights()[0], head[0])
    np.testing.assert_array_equal(
        target.get_layer("inner").get_weights()[0], source.get_layer("inner").get_weights()[0]
    )


def test_a_renamed_layer_of_the_same_shape_is_not_loaded(kind, tmp_path):
    images = keras.Input((4,))
    source = keras.Model(
        images, keras.layers.Dense(4, name="new")(keras.layers.Dense(4, name="a")(images))
    )
    target = keras.Model(
        images, keras.layers.Dense(4, name="old")(keras.layers.Dense(4, name="a")(images))
    )
    report = weights.load_by_name(target, save(source, tmp_path / kind))
    assert report == [("a", "loaded"), ("old", "missing in the file"), ("new", "unused")]


def test_a_name_that_several_layers_have_is_an_error(kind, tmp_path):
    images = x = keras.Input((4,))
    for name in ("one", "two"):
        inner = [keras.Input((4,)), keras.layers.Dense(4, name="inside")]
        x = keras.Sequential(inner, name=name)(x)
    model = keras.Model(images, x)
    with pytest.raises(UserError, match=r"Several layers in .* are named 'inside'"):
        weights.load_by_name(model, save(model, tmp_path / kind))


def test_nothing_matching_is_an_error(kind, tmp_path):
    path = save(
        keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="x")]), tmp_path / kind
    )
    with pytest.raises(UserError, match=r"No layer in .* the file has x"):
        weights.load_by_name(simpleconv3((16, 16, 3), 2), path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 broken", b"not a model"])
def test_a_broken_file_is_an_error(content, tmp_path):
    (tmp_path / "a.keras").write_bytes(content)
    with pytest.raises(UserError, match="holds no weights"):
        weights.load_by_name(simpleconv3((16, 16, 3), 2), tmp_path / "a.keras")


def test_the_format_before_keras_3_is_refused(tmp_path):
    save(nested(), tmp_path / "a.h5")
    with pytest.raises(UserError, match=r"Expected a \.keras or \.weights\.h5 file"):
        weights.load_by_name(nested(), tmp_path / "a.h5")


def test_a_file_that_points_elsewhere_is_refused(tmp_path):
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["w"] = np.zeros((4, 2))
    with h5py.File(tmp_path / "a.weights.h5", "w") as file:
        group = file.create_group("layers/dense/vars")
        group.attrs["name"] = "dense"
        group["0"] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "w")
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(2, use_bias=False, name="dense")]
    )
    with pytest.raises(UserError, match="points to other files"):
        weights.load_by_name(model, tmp_path / "a.weights.h5")


@pytest.mark.parametrize("given", ["first", "models/first", "models/first/last.keras"])
def test_weights_are_named_as_runs_are(given, trained, monkeypatch, capsys):
    monkeypatch.chdir(trained)
    Path("first").mkdir(exist_ok=True)  # a folder of data, perhaps: the run counts
    options = rooms.options_class("classify")(weights=Path(given))
    model = keras.saving.load_model("models/first/best.keras", compile=False)
    prepare.prepare(options, model, {})
    file = given if given.endswith(".keras") else "models/first/best.keras"
    assert f"Weights from {file}:" in capsys.readouterr().err


@pytest.mark.whole_training
def test_fine_tuning_starts_from_the_file_and_leaves_frozen_layers_alone(
    trained, stripes_folder, capsys
):
    source = trained / "models/first/best.keras"
    arguments = ["--weights", str(source), "--freeze", "conv*", "--freeze", "bn_*"]
    quick = ["--epochs", "1", "--image-size", "24", "--batch-size", "32"]
    assert train.main([str(stripes_folder), *quick, "--name", "tuned", *arguments]) == 0
    told = capsys.readouterr().err
    assert "probabilities  loaded" in told
    assert "frozen" in told
    before = keras.saving.load_model(source, compile=False)
    after = keras.saving.load_model("models/tuned/last.keras", compile=False)
    for layer in after.layers:
        changed = any(
            (mine != theirs).any()
            for mine, theirs in zip(
                layer.get_weights(), before.get_layer(layer.name).get_weights(), strict=True
            )
        )
        assert changed == layer.name.startswith(("dense", "probabilities")), layer.name
    accuracy = json.loads(Path("models/tuned/metrics.json").read_text())["accuracy"]
    assert accuracy >= 0.9, "it starts from a network that is good already"
