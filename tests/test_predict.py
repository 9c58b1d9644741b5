"""`predict.py` and `foldernet.load`, on what `train.py` left."""

import contextlib
import csv
import gc
import io
import itertools
import json
import os
import shutil
import subprocess
import sys
import weakref
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from conftest import ROOT
from PIL import Image

import foldernet
import predict
from foldernet import rooms
from foldernet.blur.predictor import Blurred
from foldernet.images.reader import read_image
from foldernet.inference import predictor
from foldernet.inference.classifier import Classifier, ClassPrediction
from foldernet.inference.predictor import Prediction
from foldernet.interchange import writers
from foldernet.terminal import UserError
from foldernet.training.model_file import read_metadata


@pytest.fixture
def at_run(trained, monkeypatch):
    monkeypatch.chdir(trained)


def test_prediction_gives_the_models_probabilities_on_the_same_pixels(trained, stripes_folder):
    paths = sorted((stripes_folder / "val").rglob("*.png"))
    model = keras.saving.load_model(trained / "models/first/best.keras")
    expected = model.predict(np.stack([read_image(path, (24, 24)) for path in paths]), verbose=0)
    classifier = foldernet.load(trained / "models/first")
    temperature = read_metadata(trained / "models/first/best.keras")["temperature"]
    for prediction, row in zip(classifier.predict(paths), expected, strict=True):
        found = dict(prediction.ranking)
        shares = row ** (1 / temperature) / (row ** (1 / temperature)).sum()
        np.testing.assert_allclose([found[name] for name in classifier.classes], shares, atol=1e-6)
        np.testing.assert_allclose(prediction.raw, row.max(), atol=1e-6)


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


# From Python


@pytest.fixture(scope="module")
def classifier(trained):
    return foldernet.load(trained / "models/first")


def pixels_of(path):
    with Image.open(path) as image:
        return np.asarray(image)


KINDS = {
    "path": str,
    "PathLike": Path,
    "bytes": lambda path: Path(path).read_bytes(),
    "file": lambda path: io.BytesIO(Path(path).read_bytes()),
    "Pillow image": Image.open,
    "array": pixels_of,
}


@pytest.mark.parametrize("kind", KINDS)
def test_one_image_of_any_kind_gets_the_answer_of_its_file(classifier, stripes_folder, kind):
    path = stripes_folder / "val/down/000.png"
    (expected,) = classifier.predict([path])
    (answer,) = classifier.predict(KINDS[kind](path))
    assert answer.ranking == expected.ranking
    assert answer.path == (str(path) if kind in ("path", "PathLike") else answer.path)


def test_several_images_of_any_kinds_get_an_answer_each_in_their_order(classifier, stripes_folder):
    paths = sorted((stripes_folder / "val").rglob("*.png"))
    expected = [answer.ranking for answer in classifier.predict(paths)]
    makers = itertools.cycle(KINDS.values())
    answers = classifier.predict(make(path) for make, path in zip(makers, paths, strict=False))
    for answer, ranking in zip(answers, expected, strict=True):
        assert [name for name, _ in answer.ranking] == [name for name, _ in ranking]


def test_an_open_file_is_read_from_where_it_stands(classifier, stripes_folder):
    path = stripes_folder / "val/down/000.png"
    with open(path, "rb") as file:
        (answer,) = classifier.predict(file)
    assert answer.path == "<BufferedReader>"
    assert answer.ranking == classifier.predict(path)[0].ranking


@pytest.mark.parametrize("channels", [(), (1,), (3,), (4,)])
@pytest.mark.parametrize("size", [(9, 40), (24, 24), (100, 61)])
def test_pixels_are_resized_and_converted_as_those_of_a_file(classifier, tmp_path, channels, size):
    pixels = np.random.default_rng(0).integers(0, 256, (*size, *channels), np.uint8)
    image = Image.fromarray(pixels.squeeze(2) if channels == (1,) else pixels)
    image.save(tmp_path / "image.png")
    expected = classifier.read(tmp_path / "image.png")
    for source in (pixels, image, (tmp_path / "image.png").read_bytes()):
        ((_, drawn),) = classifier.named_images(source)
        np.testing.assert_array_equal(drawn, expected)


def test_a_pillow_image_is_put_upright_and_left_as_it_is(classifier, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    noise = np.random.default_rng(0).integers(0, 256, (200, 320, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "image.png", exif=exif)
    with Image.open(tmp_path / "image.png") as image:
        ((_, pixels),) = classifier.named_images(image)
        assert image.size == (320, 200)
    np.testing.assert_array_equal(pixels, classifier.read(tmp_path / "image.png"))


def test_contents_are_held_against_the_limits_of_files(classifier, tmp_path):
    Image.new("1", (8000, 7000)).save(tmp_path / "large.png")
    (of_file,) = classifier.predict(tmp_path / "large.png")
    assert "megapixels" in of_file.error
    content = (tmp_path / "large.png").read_bytes()
    sources = [content, io.BytesIO(content), content[:50], b""]
    answers = classifier.predict(sources)
    assert [answer.error for answer in answers[:2]] == [of_file.error] * 2
    assert all(answer.error for answer in answers)


def test_pixels_without_a_known_range_get_an_error(classifier):
    (answer,) = classifier.predict(Image.new("F", (8, 8)))
    assert "floating-point pixels" in answer.error


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (3, "of type int"),
        (None, "of type NoneType"),
        ([{}], "of type dict"),
        (bytearray(b"x"), "of type bytearray"),
        (io.StringIO("x"), "of type StringIO"),
        (np.zeros((4, 4, 3)), "array of float64 and shape (4, 4, 3)"),
        (np.zeros((2, 4, 4, 3), np.uint8), "shape (2, 4, 4, 3)"),
        (np.zeros((4, 4, 2), np.uint8), "shape (4, 4, 2)"),
        (np.zeros(4, np.uint8), "shape (4,)"),
        (np.zeros((0, 4), np.uint8), "shape (0, 4)"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_what_is_no_image_gets_a_sentence_that_says_what_is_expected(classifier, wrong, told):
    with pytest.raises(UserError) as caught:
        classifier.predict(wrong)
    assert told in str(caught.value)
    assert "Expected" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_images_are_drawn_a_batch_at_a_time(classifier, stripes_folder, monkeypatch):
    monkeypatch.setattr(predictor, "BATCH_SIZE", 4)
    drawn = itertools.count()
    path = stripes_folder / "val/down/000.png"
    answers = classifier.stream(path for _ in iter(lambda: next(drawn), -1))  # without end
    assert len(list(itertools.islice(answers, 6))) == 6
    answers.close()
    assert next(drawn) == 8


# Many images, and files


def options_for(**outputs):
    files = {name: Path(path) for name, path in outputs.items()}
    return rooms.predict_options()(paths=("x.png",), **files)


def write(results, missing, options):
    """Results of two classes as predict.py writes them."""
    predictor = SimpleNamespace(Result=ClassPrediction, classes=("cat", "dog"))
    left = writers.pass_on(options, predictor, results)
    return Classifier.write(left, missing, options.top)


def answer(path, error=None):
    return ClassPrediction(path, () if error else (("cat", 0.75), ("dog", 0.25)), error, raw=0.8)


def test_results_are_let_go_of_as_they_are_written(capsys):
    alive, most = weakref.WeakSet(), []

    def results():
        for number in range(300):
            result = answer(f"{number}.png", error="broken" if number % 3 == 1 else None)
            alive.add(result)
            yield result
            del result
            gc.collect(0)
            most.append(len(alive))

    options = options_for(json="all.json", csv="all.csv")
    assert write(results(), [], options) == 1
    assert max(most) <= 4
    assert len(json.loads(Path("all.json").read_text())) == 300


def test_json_is_a_list_and_jsonl_a_line_for_each_image(capsys):
    told = [answer("a.png"), answer("b.png", error="broken")]
    expected = [
        {
            "file": "a.png",
            "class": "cat",
            "probability": 0.75,
            "raw_probability": 0.8,
            "unknown": False,
            "top": [
                {"class": "cat", "probability": 0.75},
                {"class": "dog", "probability": 0.25},
            ],
        },
        {"file": "b.png", "error": "broken"},
    ]
    for name in ("all.json", "all.jsonl"):
        assert write(iter(told), [], options_for(json=name)) == 1
    assert Path("all.json").read_text() == json.dumps(expected, indent=2) + "\n"
    lines = Path("all.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == expected
    for name, empty in {"none.json": [], "none.jsonl": None}.items():
        assert write([], ["x.png"], options_for(json=name)) == 1
        assert json.loads(Path(name).read_text() or "null") == empty


def test_csv_has_the_same_columns_whichever_images_come_first(capsys):
    told = [answer("bad.png", error="broken"), answer("good.png"), answer("worse.png", error="no")]
    for order in itertools.permutations(told):
        write(order, [], options_for(csv="all.csv"))
        header, *rows = csv.reader(Path("all.csv").read_text().splitlines())
        assert header == ["file", "error", "class_1", "probability_1", "class_2", "probability_2"]
        assert [row[:2] for row in rows] == [[item.path, item.error or ""] for item in order]
        assert {len(row) for row in rows} == {6}
    write(told[:1], [], options_for(csv="all.csv"))
    alone = [*csv.reader(Path("all.csv").read_text().splitlines())]
    assert alone == [header, ["bad.png", "broken", "", "", "", ""]]


@pytest.mark.parametrize(
    ("result", "option"), [(Prediction, "csv"), (Blurred, "csv"), (Blurred, "json")]
)
def test_a_file_that_has_no_place_for_an_answer_is_refused(result, option):
    with pytest.raises(UserError, match="--csv is for classifiers, --json for runs that answer in"):
        writers.pass_on(options_for(**{option: "x"}), SimpleNamespace(Result=result), [])


@pytest.mark.parametrize("name", ["all.json", "all.jsonl", "all.csv"])
def test_a_file_appears_whole_or_not_at_all(name, capsys):
    Path(name).write_text("the one before")

    def results():
        yield answer("a.png")
        assert Path(name).read_text() == "the one before"
        raise KeyboardInterrupt

    options = options_for(**{Path(name).suffix[1:].rstrip("l"): name})
    with pytest.raises(KeyboardInterrupt):
        write(results(), [], options)
    assert Path(name).read_text() == "the one before"
    assert os.listdir() == [name]
    write([answer("a.png")], [], options)
    assert "a.png" in Path(name).read_text()
    assert os.listdir() == [name]


def test_a_full_disk_gets_a_sentence_and_leaves_nothing(monkeypatch, capsys):
    def results():
        yield answer("a.png")
        raise OSError(28, "No space left on device")

    with pytest.raises(UserError, match=r"all\.csv' can't be written \(No space left on device\)"):
        write(results(), [], options_for(csv="all.csv"))
    assert os.listdir() == []


@pytest.mark.parametrize("option", ["--json", "--csv"])
@pytest.mark.parametrize("path", ["nodir/x.json", "folder", os.devnull])
def test_a_file_that_cannot_be_written_is_told_before_the_model_is_loaded(
    option, path, at_run, stripes_folder, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)  # where there is no run
    Path("folder").mkdir()
    assert predict.main([str(stripes_folder / "val/down"), option, path]) == 1
    told = capsys.readouterr()
    assert f"error: '{path}' can't be written" in told.err
    assert "no run" not in told.err
    assert told.err.count("\n") == 1


def test_json_and_csv_need_two_files(stripes_folder, capsys):
    assert predict.main([str(stripes_folder), "--json", "-", "--csv", "-"]) == 1
    assert "--json and --csv can't both be '-'" in capsys.readouterr().err


# Standard output


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_a_standard_output_that_cannot_show_a_letter_shows_a_replacement(
    at_run, tmp_path, monkeypatch, encoding
):
    name = "na\u00efve \u72ac.png"
    Image.new("RGB", (24, 24)).save(tmp_path / name)
    for arguments in ([], ["--csv", "-"], ["--json", "-"]):
        shown = io.BytesIO()
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(shown, encoding=encoding))
        assert predict.main([str(tmp_path / name), *arguments]) == 0
        sys.stdout.flush()
        text = shown.getvalue().decode(encoding)
        plain = name.encode(encoding, "backslashreplace").decode(encoding)
        assert (plain in text) or (json.dumps(name)[1:-1] in text)


@pytest.mark.parametrize("arguments", [[], ["--json", "-"], ["--csv", "-"]])
def test_a_closed_pipe_ends_quietly(arguments, at_run, fresh, stripes_folder):
    command = [ROOT / "predict.py", stripes_folder / "val", "--run", "first", *arguments]
    with fresh.start(*command, cwd=Path.cwd()) as program:
        program.stdout.close()
    assert program.told == "Using models/first\n"
    assert program.returncode == 128 + 13


# Names


NAMES = [
    'quote".png',
    "line\nbreak\r.png",
    "=1+1.png",
    "-2.png",
    "a, b; c\t.png",
    "back\\slash\\n.png",
    "\u05e9\u05dc\u05d5\u05dd \u202egnp.png",
    "9.41\u202fAM \u00a0.png",
    "\U0001f468\u200d\U0001f469.png",
    os.fsdecode(b"not-utf8-\xff\xe9.png"),
    "x" * 251 + ".png",
]


def test_names_of_all_kinds_are_read_back_as_they_are(at_run, tmp_path, monkeypatch, capsys):
    kept = []
    for name in NAMES:
        with contextlib.suppress(OSError):  # a file system that can't have such a name
            Image.new("RGB", (24, 24)).save(name := tmp_path / name)
            kept.append(name.name)
    run = str(Path("models/first").resolve())
    monkeypatch.chdir(tmp_path)
    files = ["--json", "all.json", "--csv", "all.csv"]
    assert predict.main(["--run", run, *files, "--", *kept]) == 0
    told = capsys.readouterr()
    assert len(told.out.splitlines()) == len(kept)
    told.out.encode()
    assert [item["file"] for item in json.loads(Path("all.json").read_text())] == kept
    with open("all.csv", encoding="utf-8", errors="surrogateescape", newline="") as file:
        found = [row["file"] for row in csv.DictReader(file)]
    assert [os.path.normpath(name) for name in found] == kept
    assert not [name for name in found if name.startswith(("=", "-", "+", "@"))]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_behind_standard_output_is_told_in_a_sentence(at_run, stripes_folder):
    command = [sys.executable, ROOT / "predict.py", stripes_folder / "val", "--run", "first"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 128 + 13
    assert "The disk is full where output is written. Free some space." in done.stderr
    assert "Traceback" not in done.stderr
