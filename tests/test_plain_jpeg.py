"""The fast way to read a JPEG: the pixels, the refusals and the words of the other way."""

import itertools
import random

import numpy as np
import pytest
from PIL import Image

from foldernet.images import plain_jpeg
from foldernet.images.reader import ImageError, Rule, read_with_header

SIZES = [(64, 96), (61, 83), (7, 9), (1, 1), (1200, 900)]
KINDS = {
    "plain": {},
    "4:2:2": {"subsampling": 1},
    "4:4:4": {"subsampling": 0},
    "optimized": {"optimize": True},
    "progressive": {"progressive": True},
    "restart markers": {"restart_marker_blocks": 3},
    "profile": {"icc_profile": b"a profile" * 50},
    "comment": {"comment": b"hello"},
    "stored as RGB": {"keep_rgb": True},
}
READ_AS = [
    ((48, 48), Rule()),
    (None, Rule()),
    ((40, 24), Rule("grayscale", keep_aspect_ratio=True)),
    ((30, 30), Rule(interpolation="bilinear")),
]


def picture(height, width, mode="RGB"):
    """Something with edges, colors and gradients."""
    y, x = np.mgrid[:height, :width]
    pixels = np.stack([x * 255 // width, y * 255 // height, (x // 5 + y // 3) % 2 * 200], axis=2)
    return Image.fromarray(pixels.astype("uint8")).convert(mode)


@pytest.fixture
def both_ways(monkeypatch):
    """Reads a file with the fast way and without: pixels, shape and header, or the error's words
    and kind."""

    def of(path, size, rule):
        found = []
        for fast in (True, False):
            with monkeypatch.context() as patch:
                if not fast:
                    patch.setattr(plain_jpeg, "read", lambda path, least: None)
                try:
                    pixels, header = read_with_header(path, size, rule)
                    found.append((pixels.tobytes(), pixels.shape, header))
                except ImageError as error:
                    found.append((str(error), error.kind))
        return found

    return of


def test_the_fast_way_is_taken_for_what_most_jpegs_are(tmp_path):
    for kind in ("plain", "4:2:2", "4:4:4", "optimized", "restart markers", "profile", "comment"):
        picture(61, 83).save(tmp_path / "a.jpg", **KINDS[kind])
        assert plain_jpeg.read(str(tmp_path / "a.jpg"), 48) is not None, kind
    for kind in ("progressive", "stored as RGB"):
        picture(61, 83).save(tmp_path / "a.jpg", **KINDS[kind])
        assert plain_jpeg.read(str(tmp_path / "a.jpg"), 48) is None, kind


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_jpeg_gives_the_same_pixels(kind, mode, tmp_path, both_ways):
    if kind == "stored as RGB" and mode != "RGB":
        pytest.skip("only colors can be")
    path = str(tmp_path / "a.jpg")
    for (height, width), (size, rule) in itertools.product(SIZES, READ_AS):
        picture(height, width, mode).save(path, **KINDS[kind])
        fast, other = both_ways(path, size, rule)
        assert fast == other, (height, width, size, rule)


@pytest.mark.parametrize("orientation", range(10))
def test_every_orientation_gives_the_same_pixels(orientation, tmp_path, both_ways):
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture(61, 83).save(tmp_path / "a.jpg", exif=exif)
    for size, rule in READ_AS:
        fast, other = both_ways(str(tmp_path / "a.jpg"), size, rule)
        assert fast == other


def damaged(content: bytes, random: random.Random) -> bytes:
    """Cut, with wrong bytes, anywhere or near the beginning, or with some missing or too many."""
    kind, at = random.randrange(5), random.randrange(2, len(content))
    few = bytes(random.randrange(256) for _ in range(random.randrange(1, 30)))
    if kind == 0:
        return content[:at]
    if kind == 1:
        return content[:at] + few[:1] + content[at + 1 :]
    if kind == 2:
        at = random.randrange(2, 700)
        return content[:at] + few[:1] + content[at + 1 :]
    return content[:at] + few * (kind == 3) + content[at + len(few) * (kind == 4) :]


def test_a_damaged_jpeg_gets_the_same_verdict_in_the_same_words(tmp_path, both_ways):
    picture(61, 83).save(tmp_path / "a.jpg")
    content, path = (tmp_path / "a.jpg").read_bytes(), tmp_path / "b.jpg"
    chance, refused = random.Random(0), 0
    for _ in range(600):
        path.write_bytes(damaged(content, chance))
        fast, other = both_ways(str(path), (48, 48), Rule())
        assert fast == other
        refused += len(fast) == 2
    assert 100 < refused < 500


def test_a_large_jpeg_in_several_scans_goes_the_way_that_counts_its_memory(tmp_path):
    picture(1200, 900).save(tmp_path / "a.jpg")
    content = (tmp_path / "a.jpg").read_bytes()
    assert plain_jpeg.read(str(tmp_path / "a.jpg"), 48) is not None
    (tmp_path / "a.jpg").write_bytes(content[:-2] + b"\xff\xda" + content[-2:])
    assert plain_jpeg.read(str(tmp_path / "a.jpg"), 48) is None


@pytest.mark.parametrize("exif", [b"nonsense", b"II", b"\0" * 40])
def test_a_damaged_exif_block_says_nothing_of_the_pixels(exif, tmp_path, both_ways):
    picture(61, 83).save(tmp_path / "a.jpg", exif=b"Exif\0\0" + exif)
    fast, other = both_ways(str(tmp_path / "a.jpg"), (48, 48), Rule())
    assert fast == other
    assert len(fast) == 3
