"""Pretrained networks: when they are chosen, and the head that is solved on their features."""

import csv
import json
import os
import signal
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image, ImageDraw
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from test_resume import assert_same_run, interrupt

import predict
import train
from foldernet import rooms, shipped
from foldernet.datasets import folders
from foldernet.pretrained import choice, features, head
from foldernet.pretrained.features import FeatureIterator
from foldernet.training.session import Stage
from foldernet.transfer.prepare import prepare


def photograph(random: np.random.Generator, kind: str, side: int = 100) -> Image.Image:
    """What looks like one: noise in every pixel, on a background that is dark or light."""
    base = {"dark": 60, "light": 190}[kind]
    shade = np.linspace(0, 30, side)[:, None, None]
    pixels = base + shade + random.normal(0, 15, (side, side, 3))
    return Image.fromarray(pixels.clip(0, 255).astype("uint8"))


def small(random: np.random.Generator, kind: str) -> Image.Image:
    return photograph(random, kind, 32)


def gray(random: np.random.Generator, kind: str) -> Image.Image:
    return photograph(random, kind).convert("L")


def deep(random: np.random.Generator, kind: str) -> Image.Image:
    """Of 12 bits, in 16."""
    return Image.fromarray(np.uint16(16 * np.asarray(gray(random, kind), int)))


def drawing(random: np.random.Generator, kind: str, side: int = 100) -> Image.Image:
    image = Image.new("RGB", (side, side), "white")
    at = random.integers(10, 30)
    shape = {"dark": "rectangle", "light": "ellipse"}[kind]
    getattr(ImageDraw.Draw(image), shape)((at, at, at + 50, at + 50), fill=(200, 30, 30))
    return image


def silhouette(random: np.random.Generator, kind: str) -> Image.Image:
    return drawing(random, kind, 120).convert("L").resize((28, 28))


def cut_out(random: np.random.Generator, kind: str) -> Image.Image:
    image = Image.new("RGB", (100, 100), "white")
    image.paste(photograph(random, kind, 50), (25, 25))
    return image


def written(folder: Path, make, count: int = 6, suffix: str = "png") -> Path:
    """train/ and val/ with two classes of images."""
    random = np.random.default_rng(0)
    for split in ("train", "val"):
        for kind in ("dark", "light"):
            (folder / split / kind).mkdir(parents=True)
            for index in range(count):
                make(random, kind).save(folder / split / kind / f"{index}.{suffix}")
    return folder


def chosen(folder: Path, **options):
    Options = rooms.options_class("classify")
    return choice.choose(Options(data=folder, **options), folders.find(folder))


# The choice


@pytest.mark.parametrize(
    ("make", "suffix", "network", "size"),
    [
        (photograph, "png", "efficientnet_lite", 288),
        (photograph, "jpg", "efficientnet_lite", 288),
        (small, "png", "efficientnet_lite", 160),
        (
            lambda random, kind: photograph(random, kind).convert("L"),
            "png",
            "efficientnet_lite",
            288,
        ),
        (cut_out, "png", "efficientnet_lite", 288),
        (drawing, "png", "simpleconv3", None),
        (drawing, "jpg", "simpleconv3", None),
        (silhouette, "png", "simpleconv3", None),
    ],
)
def test_photographs_get_a_pretrained_network_and_drawings_none(
    make, suffix, network, size, tmp_path
):
    options = chosen(written(tmp_path / "set", make, suffix=suffix))
    assert (options.model, options.image_size) == (network, size)


def test_images_of_12_bits_are_seen_as_they_will_be_read(tmp_path):
    folder = written(tmp_path / "set", deep)
    assert chosen(folder, white_level=4095).model == "efficientnet_lite"


def test_the_animals_that_ship_keep_simpleconv3(capsys):
    options = chosen(shipped.folder("animals"))
    assert (options.model, options.image_size, options.epochs) == ("simpleconv3", None, None)
    told = capsys.readouterr().err
    assert "simpleconv3, since these look like drawings" in told
    assert "--model NAME" in told


def test_what_the_user_sets_stays(tmp_path, capsys):
    folder = written(tmp_path / "set", photograph)
    assert chosen(folder, model="simpleconv3").image_size is None
    assert capsys.readouterr().err == "", "nothing was decided"
    assert chosen(folder, pretrained=False).model == "simpleconv3"
    assert chosen(folder, image_size=64).model == "simpleconv3", "64 pixels are too few"
    given = chosen(folder, image_size=96, epochs=4, learning_rate=0.1)
    assert (given.model, given.image_size) == ("efficientnet_lite", 96)
    assert (given.epochs, given.learning_rate) == (4, 0.1)
    assert chosen(folder, fine_tune="last").image_size == 224, "the size that it was trained at"
    timed = chosen(folder, fine_tune="all", time="10m")
    assert (timed.epochs, timed.learning_rate) == (None, choice.RATE), "as many as fit"
    assert chosen(folder, time="10m").epochs == 1, "there is nothing to repeat"
    named = chosen(folder, model="efficientnet_lite:2", pretrained=False)
    assert (named.image_size, named.epochs) == (224, None)
    assert named.model_options == ("pretrained=false",)


@pytest.mark.parametrize(("make", "expected"), [(photograph, "head"), (small, "all")])
def test_more_is_trained_from_fewer_small_photographs_on(make, expected, tmp_path, monkeypatch):
    monkeypatch.setattr(choice, "MANY", (13, 12))
    options = chosen(written(tmp_path / "set", make))
    assert options.fine_tune == expected
    assert options.image_size == {"head": 288, "all": 128}[expected]


@pytest.mark.parametrize(
    ("file", "by_keras"),
    [("mobilenet_1.0_no_top.h5", True), ("own.weights.h5", False), ("own.keras", False)],
)
def test_only_kerass_own_file_of_weights_is_left_to_keras(file, by_keras, tmp_path):
    folder = written(tmp_path / "set", photograph)
    options = chosen(folder, model="applications:MobileNet", weights=Path(file))
    start = f"pretrained={file}" if by_keras else "pretrained=false"
    assert options.model_options == (start,)
    assert options.weights == (None if by_keras else Path(file))


def test_a_mode_without_a_model_is_left_alone():
    options = rooms.options_class("blur")()
    assert choice.choose(options, None) is options


# The head


def problem(classes: int, images: int = 30, width: int = 40):
    random = np.random.default_rng(1)
    labels = np.arange(images) % classes
    centers = random.normal(0, 1, (classes, width))
    features = centers[labels][:, None] + random.normal(0, 1.5, (images, 2, width))
    features = 3 + 2 * features
    features[..., 0] = 5  # as of a channel that is never active
    return features.astype("float32"), labels


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("width", [20, 100])  # fewer than views, and more
def test_the_head_is_scikit_learns_on_standardized_features(classes, width):
    features, labels = problem(classes, width=width)
    kernel, bias, strength, _ = head.solve(features, labels)
    flat = features.reshape(-1, width)
    scaler = StandardScaler().fit(flat)
    scaler.scale_ = np.maximum(scaler.scale_, np.median(flat.std(axis=0)))
    regression = LogisticRegression(C=strength, max_iter=1000)
    regression.fit(scaler.transform(flat), np.repeat(labels, 2))
    expected = regression.predict_proba(scaler.transform(flat))
    scores = np.exp(flat @ kernel + bias)
    np.testing.assert_allclose(scores / scores.sum(1, keepdims=True), expected, atol=2e-3)


def test_a_feature_that_hardly_varied_does_not_decide_alone():
    features, labels = problem(2)
    features[..., 0] += np.random.default_rng(0).normal(0, 1e-6, features.shape[:2])
    kernel, bias, *_ = head.solve(features, labels)
    seen = features[0, 0] + np.eye(features.shape[2])[0]  # where it is active for once
    before, after = (each @ kernel + bias for each in (features[0, 0], seen))
    assert np.abs(after - before).max() < 0.1


def test_folds_never_part_the_views_of_an_image():
    labels = np.repeat([0, 1], [11, 7])
    pairs = list(head.folds(labels, views=2))
    assert len(pairs) == 5
    for learned, scored in pairs:
        assert not {*(learned // 2)} & {*(scored // 2)}
        assert sorted([*learned, *scored]) == list(range(36))
    assert sorted(np.concatenate([scored for _, scored in pairs])) == list(range(36))


def test_few_images_of_a_class_make_fewer_folds_or_none():
    assert len(list(head.folds(np.array([0, 0, 0, 1, 1, 1, 1]), 1))) == 3
    assert list(head.folds(np.array([0, 0, 0, 1]), 1)) == []
    features, labels = problem(2, images=3)
    *_, strength, accuracy = head.solve(features, labels)
    assert (strength, accuracy) == (head.USUAL, None)


# A training


def test_a_training_solves_the_head(tmp_path, capsys):
    folder = written(tmp_path / "set", photograph)
    assert train.main([str(folder), "--image-size", "96", "--name", "first"]) == 0
    told = capsys.readouterr().err
    assert "efficientnet_lite, since these look like photographs" in told
    assert "solved on 12 images" in told
    assert "1.000, since 12 validation images say little" in told
    first = Path("models/first")
    metrics = json.loads((first / "metrics.json").read_text())
    assert (metrics["accuracy"], metrics["epochs"]) == (1.0, 1)
    config = json.loads((first / "config.json").read_text())["config"]
    assert (config["model"], config["image_size"]) == ("efficientnet_lite", 96)
    assert predict.main([str(folder / "val/dark/0.png"), "--run", "first"]) == 0
    assert "0.png: dark" in capsys.readouterr().out


def test_features_need_no_disk(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    folder = written(tmp_path / "set", photograph, count=3)
    command = [str(folder), "--image-size", "96", "--cache", "disk", "--name", "first"]
    assert train.main(command) == 0
    assert "warning: no cache in" in capsys.readouterr().err


TINY = """
import keras
from keras import layers


def tiny(input_shape, classes):
    images = keras.Input(input_shape)
    x = layers.Conv2D(8, 3, strides=4, activation="relu")(layers.Rescaling(1 / 255)(images))
    x = layers.BatchNormalization()(x)
    x = layers.GlobalAveragePooling2D(name="features")(x)
    return keras.Model(images, layers.Dense(classes, activation="softmax")(x), name="tiny")
"""


def test_fine_tuning_begins_with_the_solved_head_and_is_resumed_bit_for_bit(
    tmp_path, monkeypatch, capsys
):
    """With a network that is small enough to be trained several times here."""
    monkeypatch.setattr(choice, "starts_from_imagenet", lambda options: True)
    Path("tiny.py").write_text(TINY)
    folder = written(tmp_path / "set", photograph)
    arguments = [str(folder), *["--model", "tiny.py", "--image-size", "32"]]
    arguments += ["--fine-tune", "last", "--epochs", "2"]
    assert train.main([*arguments, "--name", "whole"]) == 0
    with open("models/whole/history.csv") as file:
        solved, *_ = rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["0", "1"]
    assert float(solved["val_accuracy"]) == 1.0
    assert 0 < float(solved["seconds"]) < float(rows[1]["seconds"]), "since training began"
    assert json.loads(Path("models/whole/metrics.json").read_text())["accuracy"] == 1.0

    interrupt(monkeypatch, (1, 0))  # the first step of the second stage
    assert train.main([*arguments, "--name", "halted"]) == 143
    with monkeypatch.context() as patch:
        patch.setattr(head, "solve", None)
        patch.setattr(features, "frozen_features", None)
        assert train.main(["--resume", "--name", "halted"]) == 0
    assert_same_run(tmp_path, tmp_path, "whole", "halted")

    with monkeypatch.context() as patch:  # before there is a state, it begins anew
        patch.setattr(FeatureIterator, "batch", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
        assert train.main([*arguments, "--name", "early"]) == 143
    assert "train.py --resume --name early" in capsys.readouterr().err
    assert train.main(["--resume", "--name", "early"]) == 0
    assert_same_run(tmp_path, tmp_path, "whole", "early")


def test_features_are_computed_once_and_the_rest_is_frozen(tmp_path, monkeypatch):
    folder = written(tmp_path / "set", photograph)

    def prepared(**given):
        options = chosen(folder, model="efficientnet_lite", image_size=96, **given)
        task, dataset = rooms.task(options.with_defaults(12)), folders.find(folder)
        network = task.network(dataset)
        prepare(options, network, {})
        whole = Stage(network, task.batches(dataset), 9, task.options)
        split, facts = choice.add_stages([whole])
        assert [stage.epochs for stage in split] == ([9] if split == [whole] else [1, 8])
        trained = {layer.name for layer in network.layers if layer.trainable_weights}
        return network.get_layer("predictions").get_weights(), trained, dict(facts)

    (kernel, _), trained, facts = prepared()
    assert trained == {"predictions"}
    assert facts["head"].startswith("solved on 12 images")
    monkeypatch.setattr(keras.Model, "predict_on_batch", None)
    (_, _), trained, _ = prepared(fine_tune="last")
    assert {"head_conv", "block7a_project_conv", "predictions"} <= trained
    assert not trained & {"stem_conv", "block5a_project_conv"}
    (again, _), trained, _ = prepared(fine_tune="all")
    np.testing.assert_array_equal(again, kernel)
    assert {"stem_conv", "head_conv", "predictions"} <= trained
    assert not {name for name in trained if name.endswith("_bn")}
    _, trained, _ = prepared(fine_tune="all", freeze=("stem*",))
    assert "stem_conv" not in trained
    (untouched, _), trained, facts = prepared(fine_tune="none")
    assert not np.array_equal(untouched, kernel)
    assert ("stem_bn" in trained, facts) == (True, {})
