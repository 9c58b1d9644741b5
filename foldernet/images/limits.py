"""What one image file may cost, in bytes, memory and time, judged before anything is decoded.

A file of some kilobytes can ask a decoder for gigabytes, or for minutes. Everything here counts
what the file announces and never looks at the clock, so that the same files are refused on every
machine. Most limits hold for images of 50 megapixels; `allow` has them grow or shrink together.
"""

import contextlib
import io
import math
import os
import stat
import struct
from pathlib import Path

from PIL import Image
from PIL import TiffImagePlugin as tiff
from PIL.WebPImagePlugin import _get_size

MEGABYTE = 10**6
BYTE_LIMIT = 256 * MEGABYTE  # of a file; nothing of 50 megapixels and 8 bits needs more
PIXEL_LIMIT = 50_000_000  # of an image, by its header
JPEG_PIXEL_LIMIT = 250_000_000  # phones make 200, of which Pillow's draft decodes an eighth a side
# Pillow's own limit, which it puts before ours.
Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS or 0, JPEG_PIXEL_LIMIT)
SIDE_LIMIT = 65_535  # pixels; no JPEG can be longer, and each row of an image costs memory, too
MEMORY_LIMIT = 256 * MEGABYTE  # for decoding; shrinking what was decoded takes some more
HEADER_LIMIT = 16 * MEGABYTE  # of what is not pixels: profiles, previews, layers
READ_LIMIT = 200_000  # pieces that a file is read in; 256 MB in a PNG's usual chunks are 160,000
HEADER_READ_LIMIT = 40_000  # of them before its pixels; the costly ones
TAG_LIMIT = 100_000  # values of a TIFF's tag, such as where its strips begin
SCAN_LIMIT = 1_000_000_000  # pixels times passes over them; 50 megapixels usually have 10 passes
# Measured: a second for 30 MB of a JPEG in one scan, for 10 MB of a progressive one.
JPEG_BYTE_LIMIT, PROGRESSIVE_BYTE_LIMIT = 64 * MEGABYTE, 24 * MEGABYTE
# Pillow's that are written in Python: of run-length encoded BMPs, and of PPMs in letters, or whose
# brightest value is neither 255 nor, in gray, 65535. They take a microsecond a pixel.
SLOW_DECODERS = ("bmp_rle", "ppm_plain", "ppm")
SLOW_PIXEL_LIMIT = 1_000_000
# Of TIFFs: rare, and slow or known for their faults.
REFUSED = ("tiff_jpeg", "tiff_thunderscan", "tiff_sgilog", "tiff_sgilog24", "lzma", "webp")
BYTES_A_PIXEL = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2}  # else Pillow takes 4
COPIED_BYTES_A_PIXEL = {"WEBP": 12, "AVIF": 6, "HEIF": 6}  # besides: canvases, planes, a copy
_allowed = {"times": 1.0, "option": ""}  # of these limits; the option that changes it


class TooCostlyError(Exception):
    """A file that asks for more than is allowed; the text is the reason, without its name."""


def allow(megapixels: int, option: str = "") -> None:
    """Read images of so many megapixels in this process, and let files cost more in proportion.

    Args:
        megapixels: of an image; of a JPEG, which is decoded small, five times as many.
        option: named by errors as what allows more.
    """
    _allowed.update(times=megapixels * 10**6 / PIXEL_LIMIT, option=option)
    Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS, allowed(JPEG_PIXEL_LIMIT))


def allowed(limit: int) -> int:
    """What `allow` makes of one of the limits."""
    return int(limit * _allowed["times"])


class BoundedFile(io.BufferedReader):
    """A file that can't be read for ever: in `READ_LIMIT` pieces at most; until `header_ends`, in
    `HEADER_READ_LIMIT` pieces and `HEADER_LIMIT` bytes."""

    def __init__(self, path: str):
        super().__init__(io.FileIO(path))
        self._pieces, self._bytes = HEADER_READ_LIMIT, HEADER_LIMIT

    def header_ends(self) -> None:
        """From here on pixels are read."""
        self._pieces, self._bytes = allowed(READ_LIMIT), allowed(BYTE_LIMIT + HEADER_LIMIT)

    def read(self, size: int | None = -1, /) -> bytes:
        self._pieces -= 1
        self._bytes -= size or 0  # WebP's -1, the whole file, is counted by `check_memory`
        if self._pieces < 0:
            raise TooCostlyError("it is in too many pieces; save it again")
        if self._bytes < 0:
            raise TooCostlyError("too much of it is not pixels; save it without layers, previews")
        return super().read(size)


def opened(path: str) -> io.BufferedReader:
    """A file, opened for reading; a `BoundedFile` unless it is so small that it needs no bounds.

    Raises:
        TooCostlyError: it has too many bytes.
        OSError: it is no file, is empty, or can't be opened.
    """
    status = os.stat(path)  # before it is opened: a named pipe would wait for who writes to it
    if not stat.S_ISREG(status.st_mode):
        raise OSError("not a file")
    if status.st_size == 0:
        raise OSError("empty file")
    _check(status.st_size, BYTE_LIMIT, "the file has {:,.0f} MB")
    return open(path, "rb") if status.st_size <= HEADER_READ_LIMIT else BoundedFile(path)


def check_structure(file: io.BufferedReader) -> None:
    """Judge what Pillow would go through without asking.

    Args:
        file: at its beginning, where it is left.

    Raises:
        TooCostlyError: that takes too much memory.
    """
    start = file.read(30)
    if start.startswith(b"\x89PNG\r\n\x1a\n"):
        _check_png(file)
    elif start[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        with contextlib.suppress(struct.error, OverflowError):  # it is cut, as Pillow will say
            _check_tiff_tags(file, start)
    elif start[8:12] == b"WEBP":  # Pillow makes a canvas before it tells the size
        _check_pixels(_get_size(start) or (0, 0), PIXEL_LIMIT, "")
    file.seek(0)


def check_header(image: Image.Image, file: io.BufferedReader) -> int:
    """Judge what the header of an opened image announces.

    Returns:
        Bytes that decoding takes besides the image.

    Raises:
        TooCostlyError: more pixels than are decoded, or a kind that isn't.
    """
    jpeg = image.format in ("JPEG", "MPO")
    _check_pixels(image.size, JPEG_PIXEL_LIMIT if jpeg else PIXEL_LIMIT, "")
    if (side := max(image.size)) > SIDE_LIMIT:
        raise TooCostlyError(f"{side:,} pixels a side, where {SIDE_LIMIT:,} are allowed; crop it")
    if image.tile and image.tile[0].codec_name in SLOW_DECODERS:
        _check_pixels(image.size, SLOW_PIXEL_LIMIT, " in a format that is slow to decode")
    if (compression := image.info.get("compression")) in REFUSED:
        raise TooCostlyError(f"{compression} in a TIFF, which is not decoded; save it with deflate")
    return _check_jpeg(image, file) if jpeg else 0


def check_memory(image: Image.Image, extra: int) -> None:
    """Judge how much decoding takes, at the scale of Pillow's draft.

    Args:
        image: opened, not loaded.
        extra: from `check_header`.

    Raises:
        TooCostlyError: more than `MEMORY_LIMIT`.
    """
    pixels = image.width * image.height
    needed = extra + pixels * BYTES_A_PIXEL.get(image.mode, 4)
    if image.format in COPIED_BYTES_A_PIXEL:  # these are decoded from memory
        needed += pixels * COPIED_BYTES_A_PIXEL[image.format] + _size(image.fp)
    elif image.format == "TIFF" and image.tile[0].codec_name == "libtiff":
        needed += _size(image.fp) + _strip_bytes(image)  # the file is mapped
    _check(needed, MEMORY_LIMIT, "decoding takes {:,.0f} MB", "shrink it, or save a baseline JPEG")


def _size(file: io.BufferedReader) -> int:
    return os.fstat(file.fileno()).st_size


def _check(needed: int, limit: int, said: str, advice: str = "save it smaller") -> None:
    """Raise TooCostlyError, unless so many bytes or pixels are allowed.

    Args:
        said: of the file, with a place for the number in millions.
    """
    if needed > allowed(limit):
        if option := _allowed["option"]:
            advice += f", or allow it: {option} {math.ceil(needed / limit * PIXEL_LIMIT / 10**6)}"
        least = f"{said.format(needed / 10**6)}, where at most {allowed(limit) / 10**6:,.0f}"
        raise TooCostlyError(f"{least} are allowed; {advice}")


def _check_pixels(size: tuple[int, int], limit: int, of_what: str) -> None:
    width, height = size
    _check(width * height, limit, f"{width:,}x{height:,} are {{:,.1f}} megapixels{of_what}")


def _check_png(file: io.BufferedReader) -> None:
    """Pillow keeps chunks of any size in memory."""
    others = 0
    file.seek(8)
    while len(header := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", header)
        if kind == b"IEND":
            break
        others += length if kind != b"IDAT" else 0
        _check(others, HEADER_LIMIT, "chunks that are not pixels have {:,.0f} MB", "save it again")
        file.seek(length + 4, os.SEEK_CUR)


def _check_jpeg(image: Image.Image, file: io.BufferedReader) -> int:
    """Returns what libjpeg keeps of all scans, in bytes."""
    pixels, progressive = image.width * image.height, "progressive" in image.info
    limit = PROGRESSIVE_BYTE_LIMIT if progressive else JPEG_BYTE_LIMIT
    _check(_size(file), limit, "the JPEG has {:,.0f} MB")
    if not progressive and pixels < SLOW_PIXEL_LIMIT:
        return 0
    scans = _check_scans(file, pixels)
    areas = [vertical * horizontal for _, vertical, horizontal, _ in image.layer]
    # Coefficients have 16 bits.
    return 2 * pixels * sum(areas) // max([*areas, 1]) if progressive or scans > 1 else 0


def _check_scans(file: io.BufferedReader, pixels: int) -> int:
    """Returns how many scans there are, by their markers; a thumbnail's count, too."""
    scans = Path(file.name).read_bytes().count(b"\xff\xda")
    _check(scans * pixels, SCAN_LIMIT, f"{scans:,} scans pass over {{:,.0f}} megapixels")
    return scans


def _check_tiff_tags(file: io.BufferedReader, header: bytes) -> None:
    """Pillow makes a Python object of every value of every tag that it looks at."""
    order, big = "<" if header[:2] == b"II" else ">", b"+" in header[:4]

    def read(form: str) -> tuple[int, ...]:
        return struct.unpack(order + form, file.read(struct.calcsize(order + form)))

    file.seek(*struct.unpack_from(order + ("8xQ" if big else "4xI"), header))
    for _ in range(*read("Q" if big else "H")):
        tag, kind, count = read("HHQ8x" if big else "HHI4x")
        if kind in (3, 4, 5, 6, *range(8, 14), 16, 17, 18) and count > TAG_LIMIT:  # of numbers
            too_many = f"its tag {tag} has {count:,} values, more than {TAG_LIMIT:,}"
            raise TooCostlyError(f"{too_many}; save it in larger strips")


def _strip_bytes(image: Image.Image) -> int:
    """What libtiff holds of a TIFF at once besides the image: a strip or tile of it, decoded."""
    tags = image.tag_v2
    width, height = tags[tiff.IMAGEWIDTH], tags[tiff.IMAGELENGTH]
    rows = min(tags.get(tiff.ROWSPERSTRIP) or height, height)
    strip = tags.get(tiff.TILEWIDTH, width) * tags.get(tiff.TILELENGTH, rows)
    bits = tags.get(tiff.SAMPLESPERPIXEL, 1) * max(tags.get(tiff.BITSPERSAMPLE, (8,)))
    taken = strip * max(4, bits / 8)
    if image.info["compression"] == "jpeg":
        _check_scans(image.fp, min(strip, width * height))
        taken += 6 * strip  # what libjpeg keeps of a progressive one
    return int(taken)
