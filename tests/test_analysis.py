"""`evaluate.py`, calibration, unknown images, heat maps, label issues and the report."""

import csv
import html
import json
import re
import shlex
import shutil
from pathlib import Path
from types import SimpleNamespace

import cv2
import keras
import numpy as np
import pytest
import scipy.stats
from conftest import STRIPES, stripes
from PIL import Image

import evaluate
import foldernet
import predict
import train
from foldernet.analysis import answers, heat_maps, measures, trust, unknown
from foldernet.analysis.occlusion import occlusion, overlaid
from foldernet.inference.classifier import calibrated
from foldernet.terminal import UserError
from foldernet.training.model_file import METADATA_LIMIT, load_model, read_metadata, save_model

KEYS = {
    *("accuracy", "accuracy_interval", "balanced_accuracy", "macro_f1", "log_loss", "brier"),
    *("expected_calibration_error", "images", "per_class"),
}


@pytest.fixture
def at_run(trained, place, monkeypatch):
    """A working folder with a copy of the run `first`."""
    shutil.copytree(trained / "models/first", place / "models/first")
    return place


@pytest.fixture(scope="module")
def best(trained) -> Path:
    return trained / "models/first/best.keras"


def copied(best: Path, to: str, drop: tuple = (), **metadata) -> Path:
    """The same network in a run of its own, its file saying other things of it."""
    path = Path("models", to, "best.keras")
    path.parent.mkdir(parents=True)
    kept = {name: value for name, value in read_metadata(best).items() if name not in drop}
    save_model(load_model(best), path, kept | metadata)
    return path


def noise(folder: Path, count: int) -> list[str]:
    random, folder = np.random.default_rng(0), Path(folder)
    folder.mkdir(parents=True)
    paths = [folder / f"noise-{number}.png" for number in range(count)]
    for path in paths:
        Image.fromarray(random.integers(0, 256, (32, 32, 3), np.uint8)).save(path)
    return list(map(str, paths))


def scores_of(*arguments) -> dict:
    assert evaluate.main([*map(str, arguments), "--json", "scores.json"]) == 0
    return json.loads(Path("scores.json").read_text())


def examples(classes: int = 4, images: int = 300, sharpness: float = 2.0, seed: int = 0):
    """Labels that were drawn from probabilities, which are right therefore; and these."""
    random = np.random.default_rng(seed)
    logits = sharpness * random.normal(size=(images, classes))
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return np.array([random.choice(classes, p=row) for row in shares]), shares


# evaluate.py


def test_a_run_is_scored_on_its_own_images(at_run, stripes_folder, capsys):
    scores = scores_of("--run", "first", "--csv", "scores.csv")
    metrics = json.loads(Path("models/first/metrics.json").read_text())
    assert scores.keys() >= KEYS
    assert scores["images"] == 30
    assert scores["accuracy"] == pytest.approx(metrics["accuracy"])
    assert scores["per_class"] == metrics["per_class"]
    with open("scores.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["file", "label", "class", "probability", "unknown"]
    assert [Path(row["file"]).parent.name for row in rows] == [row["label"] for row in rows]
    assert np.mean([row["label"] == row["class"] for row in rows]) == scores["accuracy"]
    (answer,) = foldernet.load("first").predict(rows[0]["file"])
    assert float(rows[0]["probability"]) == pytest.approx(answer.ranking[0][1], abs=1e-5)
    told = capsys.readouterr().out
    assert f"accuracy                    {scores['accuracy']:.4f}, with 95% from" in told
    assert "expected calibration error" in told


def test_a_folder_is_matched_by_the_names_of_classes(at_run, place, capsys):
    stripes(place / "new", {"down": 3, "across": 2}, seed=5)
    noise(place / "new/wavy", 4)
    Path("new/wavy/bad.png").write_bytes(b"no image")
    assert evaluate.main(["new", "--run", "first", "--json", "s.json"]) == 1
    scores = json.loads(Path("s.json").read_text())
    assert scores["images"] == 5
    assert list(scores["unknown_labels"]) == ["wavy"]
    assert scores["unknown_labels"]["wavy"]["images"] == 4
    assert scores["per_class"]["plain"]["recall"] is None
    assert "The run has no class wavy: 4 left out" in capsys.readouterr().out


def test_training_images_of_a_folder_are_left_out_and_each_split_is_scored(at_run, place, capsys):
    stripes(place / "data/train", dict.fromkeys(STRIPES, 3))
    stripes(place / "data/val", dict.fromkeys(STRIPES, 2))
    stripes(place / "data/test", dict.fromkeys(STRIPES, 1))
    scores = scores_of("data", "--run", "first")
    assert {name: split["images"] for name, split in scores["splits"].items()} == {
        "validation": 6,
        "test": 3,
    }
    assert scores["images"] == 6


def test_an_unreadable_image_is_named_and_the_others_are_scored(at_run, place, capsys):
    stripes(place / "new", dict.fromkeys(STRIPES, 2))
    Path("new/down/bad.png").write_bytes(b"no image")
    assert evaluate.main(["new", "--json", "s.json", "--csv", "s.csv"]) == 1
    scores = json.loads(Path("s.json").read_text())
    assert (scores["images"], scores["unreadable"]) == (6, 1)
    assert "down,,,False" in Path("s.csv").read_text()
    assert re.search(r"error: .*new/down/bad\.png: ", capsys.readouterr().err)


def test_two_runs_are_compared_on_the_same_images(at_run, best, stripes_folder, capsys):
    copied(best, "turned", classes=["plain", "down", "across"])  # right about one class alone
    scores = scores_of("--run", "first", "--compare", "turned")
    names = [name for name in STRIPES for _ in range(10)]
    paths = [
        str(stripes_folder / "val" / name / f"{at:03d}.png") for name in STRIPES for at in range(10)
    ]
    right = [
        [answer.ranking[0][0] == name for answer, name in zip(answers, names, strict=True)]
        for answers in (foldernet.load(run).predict(paths) for run in ("first", "turned"))
    ]
    alone = sum(a and not b for a, b in zip(*right, strict=True))
    other = sum(b and not a for a, b in zip(*right, strict=True))
    tail = scipy.stats.binom.cdf(min(alone, other), alone + other, 0.5)
    assert scores["compared"] == {
        "other_accuracy": pytest.approx(np.mean(right[1])),
        "right_alone": alone,
        "other_right_alone": other,
        "p_value": pytest.approx(min(1, 2 * tail)),
    }
    assert f"This run alone has {alone} right, and the other {other}, beyond" in (
        capsys.readouterr().out
    )
    same = scores_of("--run", "first", "--compare", "first")["compared"]
    assert (same["right_alone"], same["p_value"]) == (0, 1)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nowhere"], "There is no folder 'nowhere'. Name one that holds a folder per class."),
        (["--run", "other"], "There is no run 'other' in 'models'"),
        (["--run", "blur"], "'models/blur' is no classifier. Name a run of one."),
        (["--compare", "blur"], "'models/blur' is no classifier"),
        (["--run", "alone"], "There is no 'models/alone/config.json'"),
        (["bare"], "'bare' holds no labeled images but those of training. Expected <class>/*.jpg"),
        (["others"], "No image of 'others' that can be read has a label of the run's: across, do"),
        (["--json", "no/s.json"], "'no/s.json' can't be written"),
        (["--json", "s", "--csv", "s"], "--json and --csv can't both be 's'"),
        (["--csv", "-"], "--json and --csv of evaluate.py can't be -. Name a file."),
        (["--reject", "0.6"], "--reject 0.6 is too large; it must be at most 0.5"),
        (["others", "--label-issues"], "5 images of each; there are too few of a"),
        (["damaged", "--label-issues"], "there are too few of classes that can be read"),
        (["others", "--label-issues", "--csv", "s"], "--label-issues gives no scores. Leave out"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_gets_one_sentence(arguments, told, at_run, best, place, capsys):
    shutil.copytree("models/first", "models/alone", ignore=lambda *_: ["config.json"])
    Path("models/blur").mkdir()
    save_model(load_model(best), Path("models/blur/best.keras"), {"mode": "blur"})
    noise(place / "bare", 1)
    noise(place / "others/a", 2)
    Path("damaged/a").mkdir(parents=True)
    Path("damaged/a/bad.png").write_bytes(b"no image")
    noise(place / "others/b", 7)
    run = [] if "--run" in arguments else ["--run", "first"]
    assert evaluate.main([*arguments, *run]) == 1
    *_, last = capsys.readouterr().err.splitlines()
    assert last.startswith("error: ")
    assert told in last


# Measures


@pytest.mark.parametrize("classes", [2, 4, 25])
def test_each_measure_equals_an_independent_computation(classes):
    labels, shares = examples(classes)
    if classes == 4:
        labels = np.where(labels == 3, 0, labels)  # a class without images
    names = tuple(f"class {number}" for number in range(classes))
    found = measures.measures(labels, shares, names)
    predicted, count = shares.argmax(axis=1), len(labels)
    right = predicted == labels
    accuracy, z = right.mean(), scipy.stats.norm.ppf(0.975)
    center = (accuracy + z**2 / (2 * count)) / (1 + z**2 / count)
    half = (
        z / (1 + z**2 / count) * (accuracy * (1 - accuracy) / count + (z / 2 / count) ** 2) ** 0.5
    )
    recalls, f1s = [], []
    for label in sorted(set(labels.tolist())):
        hits = (right & (labels == label)).sum()
        recalls.append(hits / (labels == label).sum())
        f1s.append(2 * hits / ((labels == label).sum() + (predicted == label).sum()))
    truth = np.array([[float(label == at) for at in range(classes)] for label in labels])
    sure, error = shares.max(axis=1), 0.0
    for low in np.arange(15) / 15:
        inside = (sure >= low) & (sure < low + 1 / 15)
        if inside.any():
            error += inside.mean() * abs(sure[inside].mean() - right[inside].mean())
    expected = {
        "accuracy": accuracy,
        "accuracy_interval": [center - half, center + half],
        "balanced_accuracy": np.mean(recalls),
        "macro_f1": np.mean(f1s),
        "log_loss": -np.mean(np.log(shares[np.arange(count), labels])),
        "brier": np.mean(((shares - truth) ** 2).sum(axis=1)),
        "expected_calibration_error": error,
        "images": count,
    }
    if classes >= 20:
        top = np.argsort(-shares, axis=1)[:, :5]
        expected["top5_accuracy"] = np.mean((top == labels[:, None]).any(axis=1))
    confusions, per_class = found.pop("confusions"), found.pop("per_class")
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name] == pytest.approx(value), name
    assert per_class["class 0"]["images"] == (labels == 0).sum()
    counts = [pair["images"] for pair in confusions]
    assert counts == sorted(counts, reverse=True)
    assert sum(counts) == (~right).sum()
    for pair in confusions[:3]:
        ends = labels == names.index(pair["class"]), predicted == names.index(pair["taken_for"])
        assert pair["images"] == (ends[0] & ends[1]).sum()


# Calibration


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
def test_a_known_temperature_is_recovered(temperature):
    labels, shares = examples(images=4000)
    spoilt = calibrated(shares, 1 / temperature)
    assert trust.temperature(labels, spoilt) == pytest.approx(temperature, rel=0.08)
    np.testing.assert_allclose(calibrated(spoilt, temperature), shares, atol=1e-12)
    before, after = (measures.calibration_error(labels, each) for each in (spoilt, shares))
    assert after < 0.03
    assert temperature == 1 or before > 2 * after


def test_the_temperature_is_kept_and_applied_and_its_effect_is_told(trained, best, stripes_folder):
    paths = sorted(map(str, (stripes_folder / "val").rglob("*.png")))
    temperature = read_metadata(best)["temperature"]
    told = json.loads((best.parent / "metrics.json").read_text())["calibration"]
    assert told["temperature"] == temperature != 1
    classifier = foldernet.load(best)
    names = [Path(path).parent.name for path in paths]
    labels = np.array([classifier.classes.index(name) for name in names])
    raw = classifier.model.predict(np.stack(list(map(classifier.read, paths))), verbose=0)
    assert told["error_before"] == pytest.approx(measures.calibration_error(labels, raw), abs=1e-4)
    assert told["error_after"] < told["error_before"]
    for answer, row in zip(classifier.predict(paths), raw, strict=True):
        assert answer.raw == pytest.approx(row.max(), abs=1e-5)
        assert answer.ranking[0][1] == pytest.approx(calibrated(row, temperature).max(), abs=1e-4)


def test_a_model_of_an_earlier_version_predicts_as_it_is(best, stripes_folder):
    path = copied(best, "older", drop=("temperature", "unknown"))
    for answer in foldernet.load(path).predict(noise("noise", 3)):
        assert answer.ranking[0][1] == pytest.approx(answer.raw)
        assert not answer.unknown


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"temperature": 0.0}, "its temperature can't be 0.0"),
        ({"temperature": "hot"}, "its temperature can't be 'hot'"),
        ({"temperature": 1e300}, "its temperature can't be 1e+300"),
        ({"unknown": "nobody"}, "tells unknown images by doesn't fit"),
        ({"unknown": {"means": [[1, 2]]}}, "tells unknown images by doesn't fit"),
        (
            {"unknown": {"usual": [0], "high": [1], "scores": []}},
            "tells unknown images by doesn't fit",
        ),
    ],
)
def test_a_model_that_contradicts_itself_is_refused(best, said, told):
    with pytest.raises(UserError, match=re.escape(told)):
        foldernet.load(copied(best, "odd", **said))


# Unknown


def test_the_rate_holds_on_validation_images_and_noise_is_rejected(at_run, stripes_folder, capsys):
    val, strangers = str(stripes_folder / "val"), noise("noise", 10)

    def rejected(rate, *paths):
        arguments = ["--reject", rate, "--run", "first", "--json", "p.json"]
        assert predict.main([*paths, *arguments]) == 0
        return sum(item["unknown"] for item in json.loads(Path("p.json").read_text()))

    assert rejected("0.05", val) <= 0.05 * 30
    assert 1 <= rejected("0.2", val) <= 0.2 * 30
    assert rejected("0.05", *strangers) == 10
    assert "unknown" in capsys.readouterr().out
    assert rejected("0", val, *strangers) == 0


def test_strangers_are_told_by_their_features_or_by_probability():
    random = np.random.default_rng(0)
    centers = 5 * random.normal(size=(3, 20))
    labels = np.repeat(range(3), 100)
    features = centers[labels] + random.normal(size=(300, 20))
    sure = np.full((300, 3), 0.01) + 0.97 * np.eye(3)[labels]
    kept = unknown.fit(features[::2], labels[::2], features[1::2], sure[1::2])

    def told(kept, features, shares):
        network = SimpleNamespace(output_shape=[(None, 20), (None, 3)])
        predictor = SimpleNamespace(metadata={"unknown": kept}, network=network, classes="abc")
        unknown.extend(predictor)
        return [predictor.is_unknown(*pair) for pair in zip(features, shares, strict=True)]

    kept = json.loads(json.dumps(kept))
    assert np.mean(told(kept, features[1::2], sure[1::2])) <= 0.05
    assert all(told(kept, -features[:20], sure[:20]))
    assert all(told(kept, features[:20], np.full((20, 3), 1 / 3)))


def test_a_feature_that_hardly_varied_makes_no_image_strange():
    random = np.random.default_rng(0)
    features, shares = random.normal(size=(40, 20)), random.dirichlet(np.ones(2), size=40)
    features[:, 0] *= 1e-6
    kept = unknown.fit(features, np.arange(40) % 2, features, shares)
    known = {name: np.array(value) for name, value in kept.items()}
    usual = unknown.strangeness(known, features, shares)
    features[:, 0] = 1  # where it is active for once
    assert np.abs(unknown.strangeness(known, features, shares) - usual).max() < 0.5


def test_a_wide_network_keeps_no_features_and_its_file_stays_small():
    random = np.random.default_rng(0)
    features, shares = random.normal(size=(40, 150_000)), random.dirichlet(np.ones(3), size=40)
    kept = unknown.fit(features, np.arange(40) % 3, features, shares)
    assert kept.keys() == {"usual", "high", "scores"}
    kept = unknown.fit(features[:, :66_666], np.arange(40) % 3, features[:, :66_666], shares)
    assert "means" in kept
    assert len(json.dumps(kept)) < 0.8 * METADATA_LIMIT, "its file can be opened"


# Heat maps


def patched(count: int, with_patch: bool, seed: int) -> np.ndarray:
    """Noise of 32x32 pixels; with a bright square at the lower right or without."""
    images = np.random.default_rng(seed).integers(90, 160, (count, 32, 32, 3)).astype("float32")
    if with_patch:
        images[:, 20:28, 20:28] = (250, 40, 40)
    return images


@pytest.fixture(scope="module")
def patch_network() -> keras.Model:
    """A network that has learned to tell images with a patch from those without."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((32, 32, 3))
    x = keras.layers.Rescaling(1 / 255)(inputs)
    for filters in (8, 16):
        x = keras.layers.Conv2D(filters, 3, strides=2, padding="same", activation="relu")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    network = keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(x))
    images = np.concatenate([patched(48, False, 1), patched(48, True, 2)])
    network.compile(keras.optimizers.Adam(0.02), "sparse_categorical_crossentropy")
    network.fit(images, np.repeat([0, 1], 48), batch_size=96, epochs=25, verbose=0)
    return network


def share_at_patch(heat: np.ndarray) -> float:
    return heat[18:30, 18:30].sum() / heat.sum()


@pytest.mark.parametrize("nested", [False, True])
def test_heat_is_where_a_tell_tale_patch_is_and_occlusion_agrees(nested, patch_network):
    network, images = patch_network, patched(4, True, 3)
    if nested:
        outer = keras.Input((32, 32, 3))
        network = keras.Model(outer, network(outer))
    convolutions = [each for each in patch_network.layers if type(each) is keras.layers.Conv2D]
    assert heat_maps.feature_map_layer(network) is convolutions[-1]
    before = network.predict_on_batch(images)
    assert (before.argmax(axis=1) == 1).all()
    for heat in heat_maps.grad_cam(network, images, np.ones(4, int)):
        assert heat.shape == (32, 32)
        assert (heat.min(), heat.max()) == (0, 1)
        assert share_at_patch(heat) > 0.6  # of 0.14 of the image
    covered = occlusion(network.predict_on_batch, images[0])
    assert share_at_patch(covered) > 0.6
    rows, columns = (covered.sum(axis=axis) @ np.arange(32) / covered.sum() for axis in (1, 0))
    assert max(abs(rows - 23.5), abs(columns - 23.5)) < 2, "the middle of the patch"
    np.testing.assert_array_equal(network.predict_on_batch(images), before)
    assert overlaid(images[0], covered).dtype == np.uint8


def mlp() -> keras.Model:
    inputs = keras.Input((24, 24, 3))
    x = keras.layers.Dense(3, activation="softmax")(keras.layers.Flatten()(inputs))
    return keras.Model(inputs, x, name="mlp")


def test_a_heat_map_is_written_beside_each_answer(at_run, stripes_folder, capsys):
    image = str(stripes_folder / "val/down/000.png")
    for _ in range(2):
        assert predict.main([image, "--run", "first", "--explain"]) == 0
    told = capsys.readouterr()
    assert told.out.count("000.png: down") == 2
    for name in ("000-why.png", "000-why-2.png"):
        assert f"Wrote {name}" in told.err
        assert cv2.imread(name).shape == (24, 24, 3)


def test_no_heat_map_of_a_network_without_feature_maps_is_told_in_a_sentence(best, place, capsys):
    path = Path("models/flat/best.keras")
    path.parent.mkdir(parents=True)
    metadata = read_metadata(best)
    del metadata["unknown"]
    save_model(mlp(), path, metadata)
    assert predict.main([*noise("noise", 1), "--run", "flat", "--explain"]) == 1
    assert "error: No layer of 'mlp' gives a map of the image" in capsys.readouterr().err


# Label issues


def test_turned_labels_are_found_and_joined_to_the_report(at_run, stripes_folder, capsys):
    pytest.importorskip("cleanlab", reason="requirements-analysis.txt has it")
    stripes(Path("data/train"), dict.fromkeys(STRIPES, 12), seed=3)
    stripes(Path("data/val"), dict.fromkeys(STRIPES, 8), seed=4)
    turned = {
        "data/train/down/turned.png": "across/003.png",
        "data/val/plain/turned.png": "down/004.png",
    }
    for to, name in turned.items():
        split = Path(to).parts[1]
        Path("data", split, name).rename(to)
    Path("data/val/plain/bad.png").write_bytes(b"no image")
    assert evaluate.main(["data", "--run", "first", "--label-issues"]) == 0
    with open("models/first/label_issues.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["file", "label", "suggested", "score"]
    assert {row["file"] for row in rows} == set(turned)
    for row in rows:
        assert row["suggested"] == turned[row["file"]].split("/")[0]
    assert [float(row["score"]) for row in rows] == sorted(float(row["score"]) for row in rows)
    assert "2 labels of 61 look wrong" in capsys.readouterr().out
    page = Path("models/first/report.html").read_text()
    assert "data/train/down/turned.png" in page
    assert page.count('id="label-issues"') == 1
    assert "Not looked for yet" not in page


# Slices


def test_kinds_of_images_that_differ_beyond_chance_are_found():
    random = np.random.default_rng(0)
    images = random.integers(100, 140, (120, 16, 16, 3)).astype("uint8")
    images[:40] //= 4  # dark
    images[40:80] = [cv2.blur(image, (7, 7)) for image in images[40:80]]
    right = random.random(120) < 0.9
    right[:40] = random.random(40) < 0.3
    names = [f"class/{'old' if number % 2 else 'new'}/{number}.png" for number in range(120)]
    batches = SimpleNamespace(images_at=lambda at: images[at], n=120, filenames=names)
    rows = measures.slices(batches, right)
    found = {row["slice"]: row for row in rows}
    assert found.keys() == {"dark", "bright", "blurred", "sharp", "folder old", "folder new"}
    assert rows[0]["slice"] == "dark"
    assert rows[0]["differs"]
    assert not found["folder old"]["differs"]
    dark = np.arange(120) < 40
    assert found["dark"]["images"] == 40
    assert found["dark"]["accuracy"] == pytest.approx(right[dark].mean())
    assert found["dark"]["rest"] == pytest.approx(right[~dark].mean())
    hits, of = right[dark].sum(), right.sum()
    chance = scipy.stats.hypergeom(120, of, 40).pmf(np.arange(41))
    expected = chance[chance <= chance[hits] * (1 + 1e-7)].sum()
    assert found["dark"]["p_value"] == pytest.approx(expected)


# The report


@pytest.fixture
def page(browser, trained):
    """The report of `first`, whose console is silent, and which fetches nothing."""
    page, told, fetched = browser.new_page(), [], []
    page.on("console", lambda message: told.append(message.text))
    page.on("pageerror", lambda error: told.append(str(error)))
    page.on("request", lambda request: fetched.append(request.url))
    report = (trained / "models/first/report.html").as_uri()
    page.goto(report)
    yield page
    assert told == []
    assert [url for url in fetched if not url.startswith("data:")] == [report]
    page.close()


def test_the_report_has_what_a_person_wants_to_know(page, trained):
    metrics = json.loads((trained / "models/first/metrics.json").read_text())
    assert page.title() == "first - Foldernet"
    said = page.inner_text("main")
    assert f"{metrics['accuracy']:.1%}" in said
    assert f"{metrics['calibration']['error_before']:.3f} before calibration" in said
    assert "python train.py --config models/first/config.json" in said
    assert page.locator("polyline").count() == 4


def test_tables_of_the_report_sort_by_click_and_key(page):
    table = page.locator("table", has_text="Classes, validation")
    names = table.locator("tbody th")
    head = table.locator("thead th").first
    assert names.all_inner_texts() == ["across", "down", "plain"]
    head.get_by_role("button").click()
    head.get_by_role("button").click()
    assert names.all_inner_texts() == ["plain", "down", "across"]
    assert head.get_attribute("aria-sort") == "descending"
    head.get_by_role("button").focus()
    page.keyboard.press("Enter")
    assert names.all_inner_texts() == ["across", "down", "plain"]
    assert head.get_attribute("aria-sort") == "ascending"
    recall = table.locator("thead th").nth(2).get_by_role("button")
    recall.click()
    shares = table.locator("tbody tr td:nth-child(3)").all_inner_texts()
    assert shares == sorted(shares, key=lambda share: float(share.rstrip("%")))


def test_images_of_the_report_have_words_and_it_fits_a_telephone(page):
    assert page.locator("img").count() > 0
    assert page.locator("img:not([alt]), img[alt=''], svg:not([aria-label])").count() == 0
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.whole_training
def test_a_report_is_made_of_names_of_any_kind_and_a_network_without_feature_maps(tmp_path):
    Path("mlp.py").write_text(
        "import keras\nfrom keras import layers\n\n\n"
        "def mlp(input_shape, classes):\n"
        "    images = keras.Input(input_shape)\n"
        "    x = layers.Flatten()(layers.Rescaling(1 / 255)(images))\n"
        '    return keras.Model(images, layers.Dense(classes, activation="softmax")(x))\n'
    )
    stripes(Path("data"), {"across": 12, "plain": 12})
    Path("data/across").rename("data/<b>x&\x1b")
    quick = ["--epochs", "1", "--image-size", "8", "--model", "mlp.py"]
    assert train.main(["data", *quick, "--name", "it's odd"]) == 0
    page, folder = Path("models/it's odd/report.html").read_text(), shlex.quote("models/it's odd")
    assert "&lt;b&gt;x&amp;\\x1b" in page
    assert "<b>x" not in page
    assert "Where the network looks" not in page
    assert f"--config {folder}/config.json" in html.unescape(page)


# Sets


def test_sets_hold_the_right_class_as_often_as_is_asked_for():
    """Of images that the sets were not fitted on, drawn from the same distribution."""
    random = np.random.default_rng(0)
    probabilities = random.dirichlet([0.5] * 6, 4000)
    labels = np.array([random.choice(6, p=row) for row in probabilities])
    kept = answers.own_class(labels[:1000], probabilities[:1000])
    for share in (0.5, 0.8, 0.9, 0.99):
        within = probabilities[1000:] >= answers.smallest(kept, share)
        held = within[np.arange(3000), labels[1000:]].mean()
        assert share - 0.03 < held < share + 0.04


def test_few_images_can_promise_no_more_than_all_classes():
    assert answers.smallest([0.2, 0.4, 0.9], 0.9) == 0
    assert answers.smallest([0.2, 0.4, 0.9], 0.75) == 0.2


def test_predict_names_a_set(trained, stripes_folder, monkeypatch, capsys):
    monkeypatch.chdir(trained)
    image = str(stripes_folder / "val/down/000.png")
    assert predict.main([image, "--sets", "0.9", "--json", "-"]) == 0
    (answer,) = json.loads(capsys.readouterr().out)
    assert answer["set"][0] == answer["class"]
    assert predict.main([image, "--sets", "0.9"]) == 0
    assert f"one of {answer['class']}" in capsys.readouterr().out
    assert predict.main([image, "--sets", "1"]) == 1
    assert "--sets 1.0 is too large" in capsys.readouterr().err


@pytest.mark.parametrize("kept", [None, [], 0.5, ["a"], {"a": 1}])
def test_a_model_without_what_sets_need_says_so(kept, trained, stripes_folder, tmp_path, capsys):
    metadata = read_metadata(trained / "models/first/best.keras") | {"own_class": kept}
    model = foldernet.load(trained / "models/first").model
    save_model(model, tmp_path / "old.keras", metadata)
    image = str(stripes_folder / "val/down/000.png")
    assert predict.main([image, "--run", str(tmp_path / "old.keras"), "--sets", "0.9"]) == 1
    assert "can't tell --sets" in capsys.readouterr().err
