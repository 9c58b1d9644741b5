"""`predict.py` and `foldernet.load`, on what `train.py` left."""

import csv
import io
import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

import foldernet
import predict
from foldernet.images.reader import read_image


@pytest.fixture
def at_run(trained, monkeypatch):
    monkeypatch.chdir(trained)


def test_prediction_gives_the_models_probabilities_on_the_same_pixels(trained, stripes_folder):
    paths = sorted((stripes_folder / "val").rglob("*.png"))
    model = keras.saving.load_model(trained / "models/first/best.keras")
    expected = model.predict(np.stack([read_image(path, (24, 24)) for path in paths]), verbose=0)
    classifier = foldernet.load(trained / "models/first")
    for prediction, row in zip(classifier.predict(paths), expected, strict=True):
        found = dict(prediction.ranking)
        np.testing.assert_allclose([found[name] for name in classifier.classes], row, atol=1e-6)


def test_training_and_prediction_agree_on_accuracy(trained, stripes_folder):
    paths = sorted((stripes_folder / "val").rglob("*.png"))
    predictions = foldernet.load(trained / "models/first").predict(paths)
    right = np.mean([item.ranking[0][0] == Path(item.path).parent.name for item in predictions])
    metrics = json.loads((trained / "models/first/metrics.json").read_text())
    assert right == pytest.approx(metrics["accuracy"])


def test_a_line_for_each_image_of_files_folders_and_patterns(at_run, stripes_folder, capsys):
    val = stripes_folder / "val"
    assert (
        predict.main([str(val / "down"), str(val / "plain/00*.png"), str(val / "across/000.png")])
        == 0
    )
    output = capsys.readouterr()
    assert len(output.out.splitlines()) == 10 + 10 + 1
    assert output.out.splitlines()[0].startswith(f"{val / 'down/000.png'}: ")
    assert "Using models/first" in output.err


def test_more_than_there_are_classes_gives_all_classes(at_run, stripes_folder, capsys):
    image = str(stripes_folder / "val/down/000.png")
    assert predict.main([image, "--top", "5", "--json", "-"]) == 0
    (item,) = json.loads(capsys.readouterr().out)
    assert len(item["top"]) == 3
    assert sum(entry["probability"] for entry in item["top"]) == pytest.approx(1, abs=1e-5)
    assert item["class"] == item["top"][0]["class"]


def test_an_unreadable_image_does_not_stop_the_others(at_run, stripes_folder, tmp_path, capsys):
    good = stripes_folder / "val/down/000.png"
    bad = tmp_path / "bad.png"
    bad.write_bytes(good.read_bytes()[:100])
    assert predict.main([str(bad), str(good), str(tmp_path / "gone.png"), "--csv", "-"]) == 1
    output = capsys.readouterr()
    rows = list(csv.DictReader(io.StringIO(output.out)))
    assert [row["file"] for row in rows] == [str(bad), str(good)]
    assert rows[0]["error"]
    assert rows[1]["class_1"] == "down"
    assert f"error: {bad}: " in output.err
    assert "no image" in output.err


def test_results_go_to_files(at_run, stripes_folder, tmp_path, capsys):
    image = str(stripes_folder / "val/down/000.png")
    files = ["--json", str(tmp_path / "p.json"), "--csv", str(tmp_path / "p.csv")]
    assert predict.main([image, *files]) == 0
    assert json.loads((tmp_path / "p.json").read_text())[0]["file"] == image
    assert (tmp_path / "p.csv").read_text().splitlines()[0].startswith("file,error,class_1")
    assert image in capsys.readouterr().out


def test_a_name_of_control_characters_leaves_the_terminal_alone(at_run, tmp_path, capsys):
    evil = tmp_path / "\x1b[31mred\n.png"
    Image.new("RGB", (24, 24)).save(evil)
    (tmp_path / "\x1b]0;title.png").write_bytes(b"broken")
    assert predict.main([str(tmp_path)]) == 1
    output = capsys.readouterr()
    assert "\x1b" not in output.out + output.err
    assert len(output.out.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--run", "other"], "There is no run 'other' in 'models'"),
        ([], "Run train.py first"),
        (["--top", "0"], "must be at least 1"),
        (["--topp", "2"], "did you mean '--top'?"),
    ],
)
def test_a_mistake_gets_one_sentence(arguments, told, stripes_folder, capsys):
    assert predict.main([str(stripes_folder / "val/down"), *arguments]) == 1
    assert told in capsys.readouterr().err


def test_no_image_named_is_an_error(capsys):
    assert predict.main([]) == 1
    assert "No image is named" in capsys.readouterr().err


def test_the_newest_run_is_taken_and_said(trained, stripes_folder, tmp_path, capsys):
    shutil.copytree(trained / "models/first", tmp_path / "models/older")
    shutil.copytree(trained / "models/first", tmp_path / "models/newer")
    (tmp_path / "models/newer/best.keras").touch()
    assert predict.main([str(stripes_folder / "val/down/000.png")]) == 0
    assert "Using models/newer" in capsys.readouterr().err


def test_a_model_that_is_not_ours_is_refused(tmp_path, stripes_folder, capsys):
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]).save(tmp_path / "plain.keras")
    image = str(stripes_folder / "val/down/000.png")
    assert predict.main([image, "--run", "plain.keras"]) == 1
    assert "was not saved by train.py" in capsys.readouterr().err
