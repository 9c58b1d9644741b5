"""Files that mean harm: each is refused with its name and a reason, at once and for little memory;
and no name of a file or a class reaches the terminal or another folder by itself."""

import importlib.metadata
import io
import json
import os
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from PIL import Image

import foldernet
import predict
import train
from benchmarks import damage
from foldernet import environment, terminal
from foldernet.data import folders, reader
from foldernet.data.reader import ImageError, image_size, read_image
from foldernet.models.simpleconv3 import simpleconv3
from foldernet.report import predictions
from foldernet.terminal import UserError
from foldernet.training import runs, weights

ROOT = Path(__file__).resolve().parent.parent
MEMORY = 300 * 10**6  # bytes above the baseline, for any file

pytestmark = pytest.mark.filterwarnings("ignore")  # Pillow's, of what is wrong with a file


def read_or_refuse(path) -> ImageError | None:
    """What reading raises; checked: it names the file and a reason."""
    caught = None
    try:
        assert read_image(path, (48, 48)).shape == (48, 48, 3)
    except ImageError as error:
        caught = error
    assert caught is None or (caught.path == str(path) and caught.reason)
    assert "\n" not in str(caught)
    return caught


# Images


def test_damaged_files_of_every_format_are_read_or_refused_by_name(tmp_path):
    outcomes = []
    for name, content in damage.damaged(5 * len(damage.seeds()), seed=1):
        (tmp_path / name).write_bytes(content)
        outcomes.append(read_or_refuse(tmp_path / name))
    refused = sum(error is not None for error in outcomes)
    assert 0.2 < refused / len(outcomes) < 0.95, "the damage is such that both happen"


READ_ALL_THE_SAME = {"png-50-megapixels", "jpeg-overlapping-tags", "webp-frames"}
REASONS = {
    "jpeg-scans": "49.0 megapixels in 506 scans",
    "png-one-pixel-wide": "at most 65,535 a side",
    "png-unknown-chunk": "of chunks that are not pixels",
    "png-million-chunks": "too many pieces",
    "tiff-strips": "tag 273 has 4,000,000 values",
    "ppm-letters": "49 megapixels of a PPM in letters, where at most 1",
    "ppm-blanks": "too many pieces",
    "bmp-runs": "megapixels of a run-length encoded BMP",
    "webp-16383-a-side": "pixels",
}


def test_bombs_cost_an_error_that_says_what_is_wrong(tmp_path):
    found = {}
    for name, content in damage.bombs():
        (tmp_path / name).write_bytes(content)
        found[name] = str(read_or_refuse(tmp_path / name) or "")
        (tmp_path / name).unlink()
    assert {name for name, text in found.items() if not text} == READ_ALL_THE_SAME
    for name, reason in REASONS.items():
        assert reason in found[name]


def whole_png(folder):
    (folder / "worst").write_bytes(next(damage.bombs())[1])


def deep_pgm(folder):
    with open(folder / "worst", "wb") as file:
        file.write(b"P5 8000 6250 65535\n")
        file.truncate(file.tell() + 2 * 8000 * 6250)


def clear_gif(folder):
    image = Image.new("P", (8000, 6250), 1)
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.save(folder / "worst", "GIF", transparency=1)


MEASURE = """
import sys
from foldernet.data.reader import read_image
def peak():
    lines = open("/proc/self/status").readlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
read_image(sys.argv[1], (48, 48))
before = peak()
read_image(sys.argv[2], (48, 48))
print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
@pytest.mark.parametrize("write", [whole_png, deep_pgm, clear_gif])
def test_fifty_megapixels_take_less_than_300_megabytes(tmp_path, write):
    write(tmp_path)
    Image.new("RGB", (64, 64)).save(tmp_path / "small.png")
    command = [sys.executable, "-c", MEASURE, tmp_path / "small.png", tmp_path / "worst"]
    child = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True
    )
    assert child.returncode == 0, child.stderr.decode()
    assert int(child.stdout) < MEMORY


def image_of(kind, path, orientation=1):
    """Write noise of 403x301 pixels, of a kind that is converted before it is shrunk."""
    random = np.random.default_rng(0)
    image, options = Image.fromarray(random.integers(0, 256, (301, 403, 4), np.uint8)), {}
    if kind == "palette":
        image, options = image.convert("RGB").quantize(64), {"transparency": bytes(range(64))}
    elif kind == "deep":
        image = Image.fromarray(random.integers(0, 65536, (301, 403), np.uint16))
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(path, exif=exif, **options)


def whole_and_in_strips(monkeypatch, *arguments):
    """What the reader makes of an image either way, (height, width, channels) int."""
    whole = read_image(*arguments).astype(int)
    monkeypatch.setattr(reader, "WHOLE_LIMIT", 1000)
    monkeypatch.setattr(reader, "STRIP_PIXELS", 7000)
    strips = read_image(*arguments).astype(int)
    assert strips.shape == whole.shape
    return whole, strips


KINDS = ("alpha", "palette", "deep")


@pytest.mark.parametrize("interpolation", reader.INTERPOLATIONS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("keep_aspect_ratio", [False, True])
def test_shrinking_in_strips_differs_by_a_grey_level_at_most(
    tmp_path, monkeypatch, interpolation, kind, keep_aspect_ratio
):
    image_of(kind, tmp_path / "image.png")
    arguments = (tmp_path / "image.png", (40, 56), "rgb", interpolation, keep_aspect_ratio)
    whole, strips = whole_and_in_strips(monkeypatch, *arguments)
    assert np.abs(strips - whole).max() <= 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("orientation", [3, 6])
@pytest.mark.parametrize("size", [None, (40, 56), (500, 56)])
def test_strips_are_put_upright(tmp_path, monkeypatch, kind, orientation, size):
    image_of(kind, tmp_path / "image.png", orientation)
    whole, strips = whole_and_in_strips(monkeypatch, tmp_path / "image.png", size)
    assert np.abs(strips - whole).max() <= (1 if size else 0)


def test_a_link_is_read_as_what_it_leads_to(tmp_path):
    Image.new("RGB", (8, 8), "red").save(tmp_path / "image.png")
    (tmp_path / "link.png").symlink_to(tmp_path / "image.png")
    assert (read_image(tmp_path / "link.png") == [255, 0, 0]).all()
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    with pytest.raises(ImageError):
        image_size(tmp_path / "loop.png")


# Names


EVIL = "\x1b[31mred\x07\r"


def test_nothing_that_is_told_can_steer_the_terminal(capsys):
    terminal.status(f"a {EVIL}\nsecond line")
    terminal.warn(EVIL)
    terminal.result(EVIL)

    @terminal.door
    def main():
        raise UserError(EVIL)

    assert main() == 1
    told = capsys.readouterr()
    assert not set(told.out + told.err) & set("\x1b\x07\r")
    assert told.err.splitlines()[1] == "second line"


@pytest.mark.parametrize("output", ["--csv", "--json", None])
def test_predictions_of_evil_names_cannot_steer_the_terminal(output, capsys):
    from foldernet.config import PredictConfig, parse
    from foldernet.prediction import Prediction

    told = [
        Prediction(f"{EVIL}\udcff.png", ((EVIL, 0.9), ("cat", 0.1))),
        Prediction("bad.png", error=EVIL),
    ]
    arguments = ["x.png", *([output, "-"] if output else [])]
    assert predictions.write(told, [EVIL], parse(PredictConfig, "", arguments)) == 1
    output = capsys.readouterr()
    assert not set(output.out + output.err) & set("\x1b\x07")
    output.out.encode()


@pytest.mark.parametrize("name", ["../outside", "/tmp/outside", "..", ".hidden", "a/b"])
def test_a_run_cannot_be_named_out_of_its_folder(name, stripes_folder, capsys):
    assert train.main([str(stripes_folder), "--name", name, "--epochs", "1"]) == 1
    assert "can't name a folder" in capsys.readouterr().err
    assert not Path("../outside").exists()


def test_an_archive_of_images_cannot_write_outside_its_folder(tmp_path):
    (tmp_path / "data").mkdir()
    with zipfile.ZipFile(tmp_path / "data/evil.zip", "w") as archive:
        for name in ("evil/cat/1.png", "../../outside.png", "/outside.png", "evil/../../up.png"):
            archive.writestr(name, b"content")
    assert folders.unpacked(tmp_path / "data/evil.zip") == tmp_path / "data/evil"
    files = [path.relative_to(tmp_path) for path in tmp_path.rglob("*.png")]
    assert all(path.parts[:2] == ("data", "evil") for path in files)
    assert not Path("/outside.png").exists()


# Model files


METADATA = {
    "mode": "classify",
    "classes": ["cat", "dog"],
    "size": [16, 16],
    "color_mode": "rgb",
    "interpolation": "area",
    "keep_aspect_ratio": False,
}


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("good") / "good.keras"
    runs.save_model(simpleconv3((16, 16, 3), 2), path, METADATA)
    return path


def changed(good: Path, path: Path, **members) -> Path:
    """A copy of a model with other members: name without ending -> content, or a function of it."""
    with zipfile.ZipFile(good) as archive, zipfile.ZipFile(path, "w") as copy:
        for name in archive.namelist():
            content = archive.read(name)
            change = members.pop(name.split(".")[0], content)
            copy.writestr(name, change(content) if callable(change) else change)
        for name, content in members.items():
            copy.writestr(name, content)
    return path


def in_config(change):
    """A change of the description of the first layer with weights, as of its bytes."""

    def changed_config(content: bytes) -> bytes:
        config = json.loads(content)
        change(config["config"]["layers"][2])
        return json.dumps(config).encode()

    return changed_config


def refused_by_both(path: Path, why: str) -> None:
    """Neither prediction nor --weights take it; the reason is one sentence with its name."""
    for use in (
        lambda: foldernet.load(path),
        lambda: weights.load_by_name(simpleconv3((16, 16, 3), 2), path),
    ):
        with pytest.raises(UserError, match=why) as caught:
            use()
        assert path.name in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_good_model_is_loaded(good):
    assert foldernet.load(good).classes == ("cat", "dog")
    assert weights.load_by_name(simpleconv3((16, 16, 3), 2), good)


@pytest.mark.parametrize(
    ("description", "why"),
    [
        ({"class_name": "Lambda"}, "runs code of its own"),
        ({"class_name": "__lambda__"}, "runs code of its own"),
        ({"class_name": "TFSMLayer"}, "loads code from elsewhere"),
        ({"class_name": "TextVectorization"}, "reads other files"),
        ({"class_name": "Popen", "module": "subprocess"}, "class 'subprocess.Popen'"),
        ({"class_name": "get_file", "module": "keras.utils"}, "class 'keras.utils.get_file'"),
        ({"module": "keras.src.saving.saving_lib"}, "only Keras's and Foldernet's"),
        ({"module": "foldernet.data.reader"}, "only Keras's and Foldernet's"),
        ({"module": None, "registered_name": "mine>Conv2D"}, r"\(mine>Conv2D\)"),
    ],
)
def test_a_model_of_other_classes_than_keras_layers_is_refused(good, tmp_path, description, why):
    config = in_config(lambda layer: layer.update(description))
    refused_by_both(changed(good, tmp_path / "evil.keras", config=config), why)


def test_a_real_lambda_is_refused(tmp_path):
    images = keras.Input((16, 16, 3))
    model = keras.Model(images, keras.layers.Lambda(lambda x: x)(images))
    runs.save_model(model, tmp_path / "lambda.keras", METADATA)
    refused_by_both(tmp_path / "lambda.keras", "runs code of its own")


def test_a_legacy_file_with_a_lambda_is_refused(tmp_path):
    images = keras.Input((16, 16, 3))
    outputs = keras.layers.Dense(2)(keras.layers.Lambda(lambda x: x)(images))
    keras.Model(images, outputs).save(tmp_path / "lambda.h5")
    with pytest.raises(UserError, match="runs code of its own"):
        weights.load_by_name(simpleconv3((16, 16, 3), 2), tmp_path / "lambda.h5")
    with pytest.raises(UserError, match=r"no model that train\.py saved"):
        foldernet.load(tmp_path / "lambda.h5")


def deflated(good: Path, path: Path, name: str, content: bytes) -> Path:
    changed(good, path)
    with zipfile.ZipFile(good) as archive, zipfile.ZipFile(path, "w") as copy:
        for member in archive.namelist():
            data, packing = archive.read(member), zipfile.ZIP_STORED
            if member == name:
                data, packing = content, zipfile.ZIP_DEFLATED
            copy.writestr(member, data, packing)
    return path


@pytest.mark.parametrize("name", ["config.json", "model.weights.h5"])
def test_a_zip_bomb_is_refused(good, tmp_path, name):
    path = deflated(good, tmp_path / "bomb.keras", name, bytes(15 * 10**6))
    refused_by_both(path, "unpacks to 15,000,000 bytes")


def test_a_bomb_in_our_own_member_is_refused(good, tmp_path):
    content = b"[" * 15 * 10**6
    path = deflated(good, tmp_path / "bomb.keras", "foldernet.json", content)
    with pytest.raises(UserError, match="unpacks to 15,000,000 bytes"):
        foldernet.load(path)


@pytest.mark.parametrize("name", ["model.weights.npz", "assets/vocabulary.txt", "../escaped.py"])
def test_a_member_that_train_py_does_not_write_is_refused(good, tmp_path, name):
    refused_by_both(changed(good, tmp_path / "more.keras", **{name: b"more"}), "which train.py")


def hdf5(write) -> bytes:
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        write(file)
    return content.getvalue()


def external_link(file):
    file["layers/dense/vars/0"] = h5py.ExternalLink("/etc/passwd", "w")


def soft_link(file):
    file["layers/dense/vars/0"] = h5py.SoftLink("/elsewhere")


def external_array(file):
    group = file.create_group("layers/dense/vars")
    group.create_dataset("0", (4,), "u1", external=[("/etc/passwd", 0, 4)])


def virtual_array(file):
    layout = h5py.VirtualLayout((4,), "u1")
    layout[:] = h5py.VirtualSource("/etc/passwd", "w", (4,))
    file.create_virtual_dataset("array", layout)


def absurd_shape(file):
    file.create_dataset("array", (10**9, 10**3), "f4", chunks=(1000, 1000), compression="gzip")


def texts(file):
    file["array"] = ["cos\nsystem\n(S'true'\ntR."]


def endless(file):
    group = file.create_group("a")
    group["a"] = group


@pytest.mark.parametrize(
    ("write", "why"),
    [
        (external_link, "points to other files"),
        (soft_link, "points to other files"),
        (external_array, "points to other files"),
        (virtual_array, "points to other files"),
        (absurd_shape, "far more than the file holds"),
        (texts, "not numbers"),
        (endless, "never end"),
    ],
)
def test_weights_that_are_more_than_arrays_are_refused(good, tmp_path, write, why):
    content = hdf5(write)
    refused_by_both(changed(good, tmp_path / "evil.keras", model=content), why)
    (tmp_path / "evil.weights.h5").write_bytes(content)
    with pytest.raises(UserError, match=why):
        weights.load_by_name(simpleconv3((16, 16, 3), 2), tmp_path / "evil.weights.h5")


PICKLE = b"cos\nsystem\n(S'touch owned'\ntR."
NPY = b"\x93NUMPY\x01\x00" + struct.pack("<H", 54)
NPY += b"{'descr': '|O', 'fortran_order': False, 'shape': ()}".ljust(53) + b"\n" + PICKLE


def torch_file() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("archive/data.pkl", PICKLE)
    return out.getvalue()


@pytest.mark.parametrize(
    "content",
    [PICKLE, NPY, torch_file(), b"", b"PK\3\4"],
    ids=["pickle", "npy", "torch", "", "zip"],
)
def test_a_file_of_something_else_is_refused_and_nothing_in_it_run(tmp_path, content):
    (tmp_path / "other.keras").write_bytes(content)
    refused_by_both(tmp_path / "other.keras", r"other\.keras' (is|holds)")
    assert not Path("owned").exists()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("mode", "other"),
        ("mode", ["classify"]),
        ("classes", "cat"),
        ("classes", ["cat", "cat"]),
        ("classes", ["cat", 3]),
        ("classes", ["cat", "x" * 300]),
        ("classes", ["cat"]),
        ("size", [16]),
        ("size", [16, 0]),
        ("size", [16, 10**9]),
        ("size", [16.0, 16.0]),
        ("size", [True, True]),
        ("color_mode", "cmyk"),
        ("color_mode", []),
        ("interpolation", "../area"),
        ("keep_aspect_ratio", 1),
        ("keep_aspect_ratio", None),
    ],
)
def test_what_a_model_says_of_itself_is_held_against_a_schema(good, tmp_path, field, value):
    content = json.dumps(METADATA | {field: value})
    path = changed(good, tmp_path / "odd.keras", foldernet=content)
    with pytest.raises(UserError, match=r"odd\.keras"):
        foldernet.load(path)


@pytest.mark.parametrize("content", ["", "[]", "null", "{", "[" * 100_000, "\xff"])
def test_what_a_model_says_of_itself_must_be_an_object(good, tmp_path, content):
    path = changed(good, tmp_path / "odd.keras", foldernet=content)
    with pytest.raises(UserError, match=r"no model that train\.py saved"):
        foldernet.load(path)


def test_a_model_that_contradicts_itself_is_refused(good, tmp_path):
    content = json.dumps(METADATA | {"classes": ["cat", "dog", "cow"]})
    path = changed(good, tmp_path / "odd.keras", foldernet=content)
    with pytest.raises(UserError, match="contradicts itself"):
        foldernet.load(path)


def test_a_damaged_model_is_refused_or_predicts_the_same(good, tmp_path):
    Image.new("RGB", (16, 16), "red").save(tmp_path / "image.png")
    expected = foldernet.load(good).predict([tmp_path / "image.png"])
    random, whole = np.random.default_rng(0), good.read_bytes()
    for number in range(20):
        change = damage.DAMAGES[number % len(damage.DAMAGES)]
        path = tmp_path / f"{number}.keras"
        path.write_bytes(change(whole, random, whole))
        try:
            outcome = foldernet.load(path).predict([tmp_path / "image.png"])
        except UserError as error:
            outcome = str(error)
        assert outcome == expected or path.name in outcome


@pytest.mark.parametrize("version", ["2.15.0", "3.9.2", "3.14.1"])
@pytest.mark.parametrize("door", [train, predict])
def test_an_old_keras_is_refused_at_the_start(monkeypatch, capsys, version, door):
    monkeypatch.setattr(importlib.metadata, "version", lambda name: version)
    assert door.main(["folder"]) == 1
    assert f"Keras {version} runs code from model files" in capsys.readouterr().err


@pytest.mark.parametrize("version", ["3.15.0", "3.15.1", "3.16.0.dev1", "4.0"])
def test_a_keras_that_is_new_enough_is_not_refused(monkeypatch, version):
    monkeypatch.setattr(importlib.metadata, "version", lambda name: version)
    environment.check_keras()
