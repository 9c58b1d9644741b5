"""Images that mean harm: each is refused with its name and a reason, at once and for little memory;
and no name of a file or a class reaches the terminal or another folder by itself."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import train
from benchmarks import damage
from foldernet import shipped, terminal
from foldernet.images import reader
from foldernet.images.reader import ImageError, read_header, read_image
from foldernet.terminal import UserError

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
    "jpeg-scans": "506 scans pass over 24,794 megapixels, where at most 1,000",
    "png-one-pixel-wide": "49,000,000 pixels a side, where 65,535 are allowed",
    "png-unknown-chunk": "chunks that are not pixels",
    "png-million-chunks": "too many pieces",
    "tiff-strips": "tag 273 has 4,000,000 values",
    "ppm-letters": "49.0 megapixels in a format that is slow to decode, where at most 1",
    "ppm-blanks": "too many pieces",
    "bmp-runs": "megapixels in a format that is slow to decode",
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
from foldernet.images.reader import read_image
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
        read_header(tmp_path / "loop.png")


# Names


EVIL = "\x1b[31mred\x07\r"


def test_nothing_that_is_told_can_steer_the_terminal(capsys):
    terminal.status(f"a {EVIL}\nsecond line")
    terminal.warn(EVIL)
    terminal.result(EVIL)

    @terminal.entry_point
    def main():
        raise UserError(EVIL)

    assert main() == 1
    told = capsys.readouterr()
    assert not set(told.out + told.err) & set("\x1b\x07\r")
    assert told.err.splitlines()[1] == "second line"


@pytest.mark.parametrize("output", ["--csv", "--json", None])
def test_predictions_of_evil_names_cannot_steer_the_terminal(output, capsys):
    from foldernet import rooms
    from foldernet.inference.classifier import Classifier, ClassPrediction
    from foldernet.interchange import writers

    told = [
        ClassPrediction(f"{EVIL}\udcff.png", ((EVIL, 0.9), ("cat", 0.1))),
        ClassPrediction("bad.png", error=EVIL),
    ]
    options = {output[2:]: Path("-")} if output else {}
    options = rooms.predict_options()(paths=("x.png",), **options)
    predictor = SimpleNamespace(Result=ClassPrediction, classes=(EVIL, "cat"))
    left = writers.pass_on(options, predictor, told)
    assert Classifier.write(left, [EVIL], options.top) == 1
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
    into = tmp_path / "data"
    assert shipped.unpacked(into / "evil.zip", into) == into / "evil"
    files = [path.relative_to(tmp_path) for path in tmp_path.rglob("*.png")]
    assert all(path.parts[:2] == ("data", "evil") for path in files)
    assert not Path("/outside.png").exists()
