"""What a person looks at of a classifier: figures with names in them, and predictions.csv."""

import csv
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import keras
import matplotlib
import numpy as np
import pytest
from conftest import stripes
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

import train
from foldernet.datasets.image_list import Dataset, ImageList
from foldernet.figures import classifier, log
from foldernet.tasks.classify import Classify

QUICK = ["--epochs", "1", "--image-size", "16", "--batch-size", "16"]
AWKWARD = (
    "$x$",
    "a$b",
    "$$",
    r"\frac{",
    "x^2_{y",
    "100%_of",
    r"back\slash",
    "two\nlines",
    "\x1b[0m",
)


@pytest.fixture(autouse=True)
def only_the_fonts_of_matplotlib(monkeypatch):
    """Whatever fonts this machine has."""
    manager = font_manager.fontManager
    own = [entry for entry in manager.ttflist if entry.fname.startswith(matplotlib.get_data_path())]
    monkeypatch.setattr(manager, "ttflist", own)
    monkeypatch.setitem(log.STYLE, "fontfamily", ["DejaVu Sans"])


def font_of(characters: str, family: str, folder: Path) -> None:
    """Install a font that draws every one of these characters as a triangle."""
    pen = TTGlyphPen(None)
    pen.moveTo((0, 0))
    pen.lineTo((500, 900))
    pen.lineTo((900, 0))
    pen.closePath()
    glyphs = [".notdef", *(f"u{ord(character):04X}" for character in characters)]
    font = FontBuilder(1000, isTTF=True)
    font.setupGlyphOrder(glyphs)
    font.setupCharacterMap(dict(zip(map(ord, characters), glyphs[1:], strict=True)))
    font.setupGlyf(dict.fromkeys(glyphs, pen.glyph()))
    font.setupHorizontalMetrics(dict.fromkeys(glyphs, (1000, 0)))
    font.setupHorizontalHeader(ascent=900, descent=-100)
    font.setupNameTable({"familyName": family, "styleName": "Regular"})
    font.setupOS2()
    font.setupPost()
    font.save(folder / f"{family}.ttf")
    font_manager.fontManager.addfont(folder / f"{family}.ttf")


def texts(figure) -> list[Text]:
    """The texts of a figure that is drawn as a run draws it."""
    figure.dpi = log.DOTS_PER_INCH
    FigureCanvasAgg(figure).draw()
    return [text for text in figure.findobj(Text) if text.get_text() and text.get_visible()]


def mistaken(files) -> SimpleNamespace:
    """A validation iterator of as many black images as there are files, all of the first class."""
    return SimpleNamespace(
        classes=np.zeros(len(files), int),
        filenames=list(files),
        images_at=lambda positions: np.zeros((len(positions), 8, 8, 3), "uint8"),
    )


def certain(label: int, images: int, classes: int) -> np.ndarray:
    return np.tile(np.eye(classes)[label] * 0.9, (images, 1))


def confusion(classes):
    return classifier.confusion(np.eye(len(classes), dtype=int), classes, "Validation")


def titles(count: int, title: str):
    images = np.zeros((count, 8, 8, 3), "uint8")
    return classifier.mosaic(images, [title] * count, "Images")


# Names


def test_no_class_name_is_taken_for_markup():
    shown = log.drawable(AWKWARD, "class")
    assert shown[:3] == ["$x$", "a$b", "$$"]
    assert shown[-2:] == [r"two\nlines", r"\x1b[0m"]
    for figure in (
        confusion(AWKWARD),
        titles(9, "\n".join(shown)),
        classifier.mistakes(
            mistaken([f"{name}.png" for name in AWKWARD]), certain(1, 9, 9), AWKWARD
        ),
    ):
        drawn = [text for text in texts(figure) if set(text.get_text()) & set("$\\{%_")]
        assert drawn
        assert not any(text.get_parse_math() or text.get_usetex() for text in drawn)
    labels = [label.get_text() for label in confusion(AWKWARD).axes[0].get_xticklabels()]
    assert labels == shown


def test_names_in_a_font_of_this_system_are_drawn_with_it(tmp_path):
    font_of("犬", "Some Serif", tmp_path)
    font_of("猫犬", "Some Sans", tmp_path)
    font_of("고양이", "Korean Sans", tmp_path)
    classes = ("cat", "猫", "犬 2", "고양이")
    assert log.drawable(classes, "class") == list(classes)
    assert log.STYLE["fontfamily"] == ["DejaVu Sans", "Korean Sans", "Some Sans"]
    assert texts(confusion(classes))
    assert texts(titles(3, "고양이.png\ncalled 猫"))


def test_names_that_no_font_can_write_are_numbered_and_told(capsys, monkeypatch):
    classes = ("cat", "猫", "고양이", "ไทย")
    assert log.drawable(classes, "class") == ["cat", "class 1", "class 2", "class 3"]
    labels = [label.get_text() for label in confusion(classes).axes[0].get_yticklabels()]
    assert labels == ["cat", "class 1", "class 2", "class 3"]
    figure = classifier.mistakes(mistaken(["a.png", "猫/猫.png"]), certain(1, 2, 4), classes)
    shown = {text.get_text().split("\n")[0] for text in texts(figure)}
    assert {"a.png", "file 1"} <= shown

    batch = np.zeros((4, 8, 8, 3), "uint8"), np.eye(4)
    monkeypatch.setattr(classifier, "show", lambda run, name, figure: texts(figure))
    batches, task = {"training": [batch]}, Classify(Classify.Options())
    classifier.draw_batches(task, Dataset(Path(), classes, {}), batches, None)
    told = capsys.readouterr().err
    assert "class 1 is '猫', class 2 is '고양이', class 3 is 'ไทย'" in told
    classifier.draw_batches(task, Dataset(Path(), ("a", "b", "c", "é"), {}), batches, None)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "name", ["قطة سوداء", "חתול", "mixed חתול 3", "e\u0301", "\u0301\u0301", "🐈", "\udcff"]
)
def test_every_name_is_drawn_without_a_warning(name):
    assert texts(confusion((name, "$")))
    (shown,) = log.drawable([name], "class")
    assert texts(titles(2, f"{shown}\n{shown}"))


def test_names_in_plain_letters_open_no_fonts(monkeypatch):
    opened = []
    monkeypatch.setattr(log, "_characters", lambda family: opened.append(family) or {*"aé"})
    assert log.drawable(("a", "é", "aa"), "class") == ["a", "é", "aa"]
    assert opened == ["DejaVu Sans"]


# Layout


@pytest.mark.parametrize("count", [1, 3, 24])
@pytest.mark.parametrize("name", ["W" * 200, "i" * 200, "a long name of many words", "short"])
def test_names_never_overlap_or_leave_the_figure(count, name):
    figures = [titles(count, f"{name}.png\n{name}\ncalled {name}\n90%")]
    if count > 1:
        figures.append(confusion(tuple(f"{index} {name}" for index in range(count))))
    for figure in figures:
        drawn = [text for text in texts(figure) if text is not figure._suptitle]
        boxes = [text.get_window_extent() for text in drawn]
        for index, box in enumerate(boxes):
            assert not any(box.overlaps(other) for other in boxes[:index]), drawn[index]
            assert (figure.bbox.min <= box.min).all(), drawn[index]
            assert (box.max <= figure.bbox.max).all(), drawn[index]


def test_long_names_are_shortened_in_the_middle():
    short = log.fitted("WhatsApp Image 2024-05-17 at 10.22.41.png", 1.15, fontsize=7)
    start, end = short.split("…")
    assert "WhatsApp Image".startswith(start)
    assert end.endswith("41.png")
    assert abs(len(start) - len(end)) <= 1
    assert log.fitted("cat.png", 1.15, fontsize=7) == "cat.png"


def test_worst_mistakes_show_the_names_of_the_files():
    batches = mistaken(["cat/deep/one.png", "cat/two.png", "cat/three.png"])
    probabilities = np.array([[0.4, 0.6], [0.1, 0.9], [0.8, 0.2]])
    figure = classifier.mistakes(batches, probabilities, ("cat", "dog"))
    shown = [text for text in texts(figure) if text is not figure._suptitle]
    assert [text.get_text() for text in shown] == [
        "two.png\ncat\ncalled dog\n90%",
        "one.png\ncat\ncalled dog\n60%",
    ]
    boxes = [text.get_window_extent() for text in shown]
    images = [image.get_window_extent() for image in figure.axes[0].images]
    for title, image in zip(boxes, images, strict=True):
        assert image.y1 < title.y0
        middles = [(box.x0 + box.x1) / 2 for box in (title, image)]
        assert np.ptp(middles) < 2, "dots, between what stands under one another"
    figure = classifier.mistakes(batches, probabilities[[2, 2, 2]], ("cat", "dog"))
    assert [text.get_text() for text in texts(figure)] == ["No mistakes in 3 validation images"]


@pytest.mark.parametrize("wrapped", [False, True])
def test_the_filters_drawn_are_those_of_the_first_convolution_in_nested_models_too(
    wrapped, tmp_path, monkeypatch
):
    first = keras.layers.Conv2D(2, 3, name="first")
    first_layer = keras.layers.SpectralNormalization(first) if wrapped else first
    images = keras.Input((8, 8, 3))
    inner = keras.Model(images, keras.layers.Conv2D(2, 3, name="second")(first_layer(images)))
    images = keras.Input((8, 8, 3))
    model = keras.Model(images, keras.layers.Conv2D(2, 3, name="third")(inner(images)))

    task, batches = Classify(Classify.Options()), mistaken(["a.png"])
    task.outputs = {"validation": certain(0, 1, 2)}
    batches.path, batches.unreadable = (lambda position: str(tmp_path / "a.png")), {}
    drawn, run = {}, SimpleNamespace(models=tmp_path)
    monkeypatch.setattr(classifier, "show", lambda _, name, figure: drawn.update({name: figure}))
    dataset = Dataset(tmp_path, ("a", "b"), {})
    classifier.draw_result(task, dataset, {"validation": batches}, model, run)
    assert drawn["first_layer_filters"].get_suptitle() == "Filters of first"


# predictions.csv


def read(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.whole_training
def test_every_validation_and_test_image_has_a_line_of_predictions(
    tmp_path, stripes_folder, monkeypatch
):
    shutil.copytree(stripes_folder, tmp_path / "set")
    stripes(tmp_path / "set/test", {"down": 5, "plain": 3}, seed=3)
    predictions, predict = [], keras.Model.predict
    monkeypatch.setattr(
        keras.Model,
        "predict",
        lambda *given, **named: predictions.append(1) or predict(*given, **named),
    )
    assert train.main([str(tmp_path / "set"), *QUICK, "--name", "told"]) == 0
    assert len(predictions) == 2, "once for each split"
    rows = read(Path("models/told/predictions.csv"))
    assert [*rows[0]] == ["file", "split", "label", "predicted", "probability", "ranking"]
    files = {
        path.relative_to(tmp_path / "set").as_posix()
        for split in ("val", "test")
        for path in (tmp_path / "set" / split).glob("*/*.png")
    }
    assert {row["file"] for row in rows} == files
    assert len(rows) == len(files) == 38
    for row in rows:
        assert row["split"] == {"val": "validation", "test": "test"}[row["file"].split("/")[0]]
        assert row["label"] == row["file"].split("/")[1]
        ranking = dict(pair.rsplit(" ", 1) for pair in row["ranking"].split("; "))
        assert len(ranking) == 3
        assert row["predicted"] == next(iter(ranking))
        assert float(row["probability"]) == pytest.approx(
            float(ranking[row["predicted"]]), rel=0.01
        )
        assert sum(map(float, ranking.values())) == pytest.approx(1, abs=0.01)
    metrics = json.loads(Path("models/told/metrics.json").read_text())
    right = [row["label"] == row["predicted"] for row in rows if row["split"] == "validation"]
    assert metrics["accuracy"] == pytest.approx(np.mean(right))


def small_table(tmp_path, files, classes, unreadable=(), probabilities=None):
    """predictions.csv of images of the first class that lie in set/val."""
    root = tmp_path / "set"
    images = ImageList(str(root / "val"), list(files), np.zeros(len(files), "int32"), classes)
    batches = SimpleNamespace(
        classes=images.labels, path=images.path, unreadable=dict.fromkeys(unreadable, "gone")
    )
    if probabilities is None:
        probabilities = np.tile(np.linspace(0.9, 0, len(classes), dtype="float32"), (len(files), 1))
    dataset = Dataset(root, classes, {"validation": images})
    table = tmp_path / "predictions.csv"
    classifier.write_predictions(
        table, dataset, {"validation": batches}, {"validation": probabilities}
    )
    return read(table)


def test_names_in_predictions_start_no_formula_and_may_be_no_text(tmp_path):
    classes = ("=1+1", "+a", "猫")
    files = ["=1+1/ok.png", b"a\xe9.png".decode("utf-8", "surrogateescape"), 'two\nlines,".png']
    rows = small_table(tmp_path, files, classes)
    assert [row["file"] for row in rows] == [
        "val/=1+1/ok.png",
        r"val/a\udce9.png",
        'val/two\\nlines,".png',
    ]
    assert rows[0]["label"] == rows[0]["predicted"] == "'=1+1"
    assert rows[0]["ranking"].startswith("'=1+1 0.9; ")
    assert "猫 0" in rows[0]["ranking"]


def test_predictions_rank_the_first_five(tmp_path):
    (row,) = small_table(tmp_path, ["a.png"], tuple("abcdefgh"))
    assert row["ranking"].count(";") == 4


def test_an_image_that_went_bad_has_no_prediction(tmp_path):
    bad = str(tmp_path / "set/val/bad.png")
    good, gone = small_table(tmp_path, ["good.png", "bad.png"], ("a", "b"), unreadable=[bad])
    assert good["predicted"] == "a"
    assert (gone["label"], gone["predicted"], gone["ranking"]) == ("a", None, None)
