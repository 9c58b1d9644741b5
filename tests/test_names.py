"""Names of every kind, from a folder to a prediction, by the programs that users run."""

import contextlib
import csv
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT, stripes
from PIL import Image

import check
import foldernet
import predict
import train
from foldernet import files, terminal
from foldernet.checks import layout, quarantine
from foldernet.datasets import folders

DATA = b"caf\xe9 = '\"$HOME %s\n "  # ends in a space
CLASSES = [
    b"caf\xe9",
    b'=1+1 "quoted\'s"',
    b"two\nlines\t",
    b" $HOME %s ",
    "\u05e9\u05dc\u05d5\u05dd \u202egpj".encode(),
    "猫".encode() * 85,
]
FILES = [b"\xff%d.png", "=猫 %d\n'\".png".encode(), b"%d" + b"x" * 250 + b".png", b"$%d %%s .png"]
QUICK = ["--epochs", "1", "--image-size", "16"]


def write(path: Path, random: np.random.Generator) -> None:
    Image.fromarray(random.integers(0, 256, (16, 16, 3), np.uint8)).save(path, "png")


def named_badly(root: Path) -> list[str]:
    """Write a folder of classes and a damaged file; returns the classes that this file system can
    have."""
    random, classes = np.random.default_rng(0), []
    for label in map(os.fsdecode, CLASSES):
        with contextlib.suppress(OSError):
            (root / label).mkdir(parents=True)
            classes.append(label)
            for number, name in enumerate(FILES):
                with contextlib.suppress(OSError):
                    write(root / label / os.fsdecode(name % number), random)
    (root / classes[0] / "\n=damaged .png").write_text("no image")
    return sorted(classes)


def written(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def rows_of(path: Path) -> list[dict]:
    with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.whole_training
def test_a_name_of_any_kind_stays_the_same_from_training_to_prediction(tmp_path, capsys):
    root = tmp_path / os.fsdecode(DATA)
    classes = named_badly(root)
    data = os.path.relpath(root)
    images = {f"{label}/{name}" for label in classes for name in os.listdir(root / label)}
    good = {name for name in images if "damaged" not in name}
    assert train.main([data, *QUICK, "--name", "a"]) == 0

    config = written(Path("models/a/config.json"))
    assert config["config"]["data"] == data
    assert config["data"]["folder"] == str(root.resolve())
    assert config["data"]["classes"] == classes
    of_splits = written(Path("models/a/files.json"))
    assert {name.partition("/")[2] for name in of_splits} == good
    assert list(written(Path("models/a/metrics.json"))["per_class"]) == classes
    assert len(rows_of(Path("models/a/history.csv"))) == 1
    judged = {
        name for split, name in (name.split("/", 1) for name in of_splits) if split != "training"
    }
    predictions = rows_of(Path("models/a/predictions.csv"))
    assert {row["file"] for row in predictions} == set(map(terminal.cell, judged))
    assert {row["label"] for row in predictions} <= set(map(terminal.cell, classes))
    for name in ("best", "last"):
        with zipfile.ZipFile(f"models/a/{name}.keras") as archive:
            assert json.loads(archive.read("foldernet.json"))["classes"] == classes
    for figure in ("training_images", "confusion_matrix", "worst_mistakes"):
        assert Path(f"logs/a/{figure}.png").exists()

    assert check.main([data]) == 1
    found = {(row["path"], row["finding"]) for row in rows_of(root / "quarantine.csv")}
    assert found == {(terminal.cell(name), "unreadable") for name in images - good}
    assert quarantine.Quarantine(root).decided == dict.fromkeys(found, True)

    assert predict.main(["--run", "a", "--json", "a.json", "--csv", "a.csv", "--", data]) == 1
    answers = written(Path("a.json"))
    assert {os.path.relpath(answer["file"], data) for answer in answers} == images
    assert {answer["file"] for answer in answers} == {row["file"] for row in rows_of(Path("a.csv"))}
    ranked = {entry["class"] for answer in answers for entry in answer.get("top", ())}
    assert ranked <= set(classes)
    assert foldernet.load("a").classes == tuple(classes)

    assert train.main(["--resume", "--name", "a", "--epochs", "2"]) == 0
    # A run like one that was resumed is a new one.
    assert train.main(["--config", "models/a/config.json", "--epochs", "1", "--name", "b"]) == 0
    again = written(Path("models/b/config.json"))
    assert again["data"] == config["data"] | {"images": again["data"]["images"]}
    assert written(Path("models/b/files.json")) == of_splits

    told = capsys.readouterr()
    assert "aren't there" not in told.err
    for line in (told.out + told.err).split("\n"):
        assert line.isprintable()


def test_the_generator_takes_names_of_any_kind(tmp_path):
    classes = named_badly(tmp_path / os.fsdecode(DATA))
    for damaged in tmp_path.rglob("*damaged*"):
        damaged.unlink()
    generator, options = foldernet.ImageDataGenerator(), {"target_size": (8, 8), "shuffle": False}
    iterator = generator.flow_from_directory(tmp_path / os.fsdecode(DATA), **options)
    assert list(iterator.class_indices) == classes
    table = pd.DataFrame(
        {
            "filename": iterator.filenames,
            "class": [classes[label] for label in iterator.classes],
        },
        dtype=object,
    )
    same = generator.flow_from_dataframe(table, tmp_path / os.fsdecode(DATA), **options)
    assert same.filepaths == iterator.filepaths
    assert same.class_indices == iterator.class_indices
    np.testing.assert_array_equal(same[0][0], iterator[0][0])


@pytest.mark.parametrize(
    "name", ["x" * 251 + ".csv", "猫" * 83 + ".csv", "\U0001f431" * 62 + ".json"]
)
def test_a_file_may_have_a_name_as_long_as_the_system_allows(tmp_path, name):
    files.write_whole(tmp_path / name, lambda temporary: temporary.write_text("whole"))
    assert os.listdir(tmp_path) == [name]


def test_paths_of_more_than_260_characters_and_names_of_255_bytes_work(tmp_path, capsys):
    """From training to prediction."""
    random, root = np.random.default_rng(0), tmp_path.joinpath(*8 * ["long folder name " * 3])
    classes = ["k" * 255, "猫" * 85]
    for label in classes:
        (root / label).mkdir(parents=True)
        for number in range(4):
            write(root / label / f"{number}{'x' * 250}.png"[-259:], random)
    assert train.main([str(root), *QUICK, "--name", "n" * 255]) == 0
    (answer,) = foldernet.load("n" * 255).predict(str(next((root / classes[1]).iterdir())))
    assert {name for name, _ in answer.ranking} == {*classes}
    assert predict.main([str(root), "--run", "n" * 255, "--csv", f"{'c' * 251}.csv"]) == 0
    assert len(Path(f"{'c' * 251}.csv").read_text(encoding="utf-8").splitlines()) == 9


def test_classes_whose_names_differ_in_case_only_are_named(tmp_path, capsys):
    random, root = np.random.default_rng(0), tmp_path / "set"
    for label in ("Cats", "dogs", "cats", "Owls"):
        (root / label).mkdir(parents=True, exist_ok=True)
        for number in range(2):
            write(root / label / f"{number}.png", random)
    if len(os.listdir(root)) < 4:
        pytest.skip("this file system takes the two for one")
    layout.check(folders.find(root))
    (line,) = capsys.readouterr().err.splitlines()
    assert "differ in case only: Cats, cats. Windows and macOS" in line
    assert "dogs" not in line


def test_nothing_that_training_does_is_warned_of(tmp_path):
    """Every warning is an error, from the first import to the last figure."""
    stripes(tmp_path / "set", dict.fromkeys(("across", "down"), 5))
    command = ["-W", "error", ROOT / "train.py", "set", *QUICK]
    ended = subprocess.run([sys.executable, *command], capture_output=True, text=True)
    assert (ended.returncode, ended.stderr.count("arning")) == (0, 0), ended.stderr
