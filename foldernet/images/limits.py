"""What one image file may cost, in bytes, memory and time, judged before anything is decoded.

A file of some kilobytes can ask a decoder for gigabytes, or for minutes. Everything here counts
what the file announces and never looks at the clock, so that the same files are refused on every
machine.
"""

import io
import os
import stat
import struct

from PIL import Image

MEGABYTE = 10**6
BYTE_LIMIT = 256 * MEGABYTE  # of a file; nothing of 50 megapixels and 8 bits needs more
PIXEL_LIMIT = 50_000_000  # of an image, by its header
SIDE_LIMIT = 65_535  # pixels; no JPEG can be longer, and each row of an image costs memory, too
MEMORY_LIMIT = 256 * MEGABYTE  # for decoding; shrinking what was decoded takes some more
HEADER_LIMIT = 16 * MEGABYTE  # of what is not pixels: profiles, previews, layers
READ_LIMIT = 200_000  # pieces that a file is read in; 256 MB in a PNG's usual chunks are 160,000
HEADER_READ_LIMIT = 40_000  # of them before its pixels; the costly ones
TAG_LIMIT = 100_000  # values of a TIFF's tag, such as where its strips begin
SCAN_LIMIT = 1_000_000_000  # pixels times passes over them; 50 megapixels usually have 10 passes
# Measured: a second for 30 MB of a JPEG in one scan, for 10 MB of a progressive one.
JPEG_BYTE_LIMIT, PROGRESSIVE_BYTE_LIMIT = 64 * MEGABYTE, 24 * MEGABYTE
SLOW_DECODERS = {
    "bmp_rle": "run-length encoded BMP",
    "ppm_plain": "PPM in letters",
    "ppm": "PPM whose brightest value is neither 255 nor, in gray, 65535",
}  # Pillow's, written in Python: a microsecond a pixel
SLOW_PIXEL_LIMIT = 1_000_000
TIFF_COMPRESSIONS = (
    *("raw", "tiff_ccitt", "group3", "group4", "packbits"),
    *("tiff_lzw", "tiff_deflate", "tiff_adobe_deflate", "jpeg", "zstd"),
)  # the others are rare, slow or known for their faults
BYTES_A_PIXEL = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2}  # else Pillow takes 4
DECODER_BYTES_A_PIXEL = {"WEBP": 12}  # two canvases and a copy

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
# The last two are BigTIFF.
TIFF_BYTE_ORDERS = {b"II*\0": "<", b"MM\0*": ">", b"II+\0": "<", b"MM\0+": ">"}
TIFF_TYPE_OF_NUMBERS = (3, 4, 5, 6, 8, 9, 10, 11, 12, 13, 16, 17, 18)
BITS, SAMPLES, ROWS_OF_STRIP, TILE_WIDTH, TILE_HEIGHT = 258, 277, 278, 322, 323


class TooCostlyError(Exception):
    """A file that asks for more than is allowed; the text is the reason, without its name."""


class BoundedFile(io.BufferedReader):
    """A file that can't be read for ever: in `READ_LIMIT` pieces at most; until `header_ends`, in
    `HEADER_READ_LIMIT` pieces and `HEADER_LIMIT` bytes."""

    def __init__(self, path: str):
        super().__init__(io.FileIO(path))
        self._pieces, self._bytes = HEADER_READ_LIMIT, HEADER_LIMIT

    def header_ends(self) -> None:
        """From here on pixels are read."""
        self._pieces, self._bytes = READ_LIMIT, BYTE_LIMIT + HEADER_LIMIT

    def read(self, size: int | None = -1, /) -> bytes:
        self._pieces -= 1
        self._bytes -= size or 0  # WebP's -1, the whole file, is counted by `check_memory`
        if self._pieces < 0:
            raise TooCostlyError("it is in too many pieces; save it again")
        if self._bytes < 0:
            raise TooCostlyError(
                f"more than {HEADER_LIMIT // MEGABYTE} MB of it are not pixels; store it without"
                " layers and previews"
            )
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
    _check_bytes(status.st_size, BYTE_LIMIT, "")
    return open(path, "rb") if status.st_size <= HEADER_READ_LIMIT else BoundedFile(path)


def check_structure(file: io.BufferedReader) -> int:
    """What Pillow would go through without asking.

    Args:
        file: at its beginning, where it is left.

    Returns:
        Bytes that decoding takes besides the image.

    Raises:
        TooCostlyError: that, or the time, is too much.
    """
    magic = file.read(8)
    extra = 0
    if magic == PNG_MAGIC:
        extra = _check_png(file)
    elif magic[:4] in TIFF_BYTE_ORDERS:
        _check_tiff_tags(file, magic)
    file.seek(0)
    return extra


def check_header(image: Image.Image, file: io.BufferedReader) -> int:
    """What the header of an opened image announces.

    Returns:
        Bytes that decoding takes besides the image.

    Raises:
        TooCostlyError: more pixels than are decoded, or a kind that isn't.
    """
    width, height = image.size
    _check_pixels(width, height, PIXEL_LIMIT, "")
    if max(width, height) > SIDE_LIMIT:
        raise TooCostlyError(
            f"{width:,}x{height:,} pixels, where at most {SIDE_LIMIT:,} a side are decoded; cut it"
        )
    decoder = image.tile[0].codec_name if image.tile else None
    if decoder in SLOW_DECODERS:
        _check_pixels(width, height, SLOW_PIXEL_LIMIT, f" of a {SLOW_DECODERS[decoder]}")
    compression = image.info.get("compression")
    if image.format == "TIFF" and compression not in TIFF_COMPRESSIONS:
        raise TooCostlyError(
            f"a TIFF compressed by {compression}, which is not decoded; store it with deflate"
        )
    return _check_jpeg(image, file) if image.format in ("JPEG", "MPO") else 0


def check_memory(image: Image.Image, extra: int) -> None:
    """How much decoding takes, the scale that it is decoded at (Pillow's draft) counted in.

    Args:
        image: opened, not loaded.
        extra: from `check_structure`.

    Raises:
        TooCostlyError: more than `MEMORY_LIMIT`.
    """
    pixels = image.size[0] * image.size[1]
    needed = extra + pixels * BYTES_A_PIXEL.get(image.mode, 4)
    needed += pixels * DECODER_BYTES_A_PIXEL.get(image.format, 0)
    if image.format == "WEBP":
        needed += _size(image.fp)  # it is decoded from memory
    if image.format == "TIFF" and image.tile[0].codec_name == "libtiff":
        needed += _size(image.fp) + _strip_bytes(image)  # the file is mapped
    if needed > MEMORY_LIMIT:
        raise TooCostlyError(
            f"decoding its {image.size[0]:,}x{image.size[1]:,} pixels takes"
            f" {needed / MEGABYTE:,.0f} MB in this format, where at most"
            f" {MEMORY_LIMIT // MEGABYTE} are spent; store it as PNG or baseline JPEG"
        )


def _size(file: io.BufferedReader) -> int:
    return os.fstat(file.fileno()).st_size


def _check_bytes(size: int, limit: int, of_what: str) -> None:
    if size > limit:
        raise TooCostlyError(
            f"{size / MEGABYTE:,.0f} MB{of_what}, where at most {limit // MEGABYTE} are read"
        )


def _check_pixels(width: int, height: int, limit: int, of_what: str) -> None:
    if width * height > limit:
        raise TooCostlyError(
            f"{width:,}x{height:,} are {width * height / 1e6:,.0f} megapixels{of_what}, where at"
            f" most {limit // 1_000_000} are decoded; store a smaller copy"
        )


def _check_png(file: io.BufferedReader) -> int:
    """Pillow keeps chunks of any size in memory; returns how many bytes aren't pixels."""
    others = 0
    while len(header := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", header)
        if kind == b"IEND":
            break
        others += length if kind != b"IDAT" else 0
        _check_bytes(others, HEADER_LIMIT, " of chunks that are not pixels")
        file.seek(length + 4, os.SEEK_CUR)
    return others


def _check_jpeg(image: Image.Image, file: io.BufferedReader) -> int:
    """Returns what libjpeg keeps of all scans, in bytes."""
    pixels, size = image.width * image.height, _size(file)
    progressive = "progressive" in image.info
    _check_bytes(size, PROGRESSIVE_BYTE_LIMIT if progressive else JPEG_BYTE_LIMIT, " of a JPEG")
    if not progressive and pixels < SLOW_PIXEL_LIMIT:
        return 0
    scans = _scans(file)
    _check_scans(scans, pixels)
    areas = [vertical * horizontal for _, vertical, horizontal, _ in image.layer]
    several = progressive or scans > 1
    return 2 * pixels * sum(areas) // max([*areas, 1]) if several else 0  # 16 bits a coefficient


def _scans(file: io.BufferedReader) -> int:
    """Start-of-scan markers, in thumbnails too; a pair of bytes cut by two blocks isn't missed."""
    count, last = 0, b""
    with open(file.name, "rb") as again:
        while block := again.read(2**20):
            count += (last + block).count(b"\xff\xda")
            last = block[-1:]
    return count


def _check_scans(scans: int, pixels: int) -> None:
    if scans * pixels > SCAN_LIMIT:
        raise TooCostlyError(
            f"a JPEG of {pixels / 1e6:,.1f} megapixels in {scans:,} scans, each of which goes over"
            " all of them; save it again"
        )


def _check_tiff_tags(file: io.BufferedReader, magic: bytes) -> None:
    """Pillow makes a Python object of every value of every tag that it looks at."""
    order = TIFF_BYTE_ORDERS[magic[:4]]
    if b"+" in magic[:4]:
        (offset,), count_format, entry = struct.unpack(f"{order}Q", file.read(8)), "Q", "HHQ8x"
    else:
        (offset,), count_format, entry = struct.unpack(f"{order}I", magic[4:]), "H", "HHI4x"
    if offset > BYTE_LIMIT:
        return  # beyond its end, as Pillow will say
    file.seek(offset)
    head = file.read(struct.calcsize(order + count_format))
    if len(head) < struct.calcsize(order + count_format):
        return
    for _ in range(*struct.unpack(order + count_format, head)):
        values = file.read(struct.calcsize(order + entry))
        if len(values) < struct.calcsize(order + entry):
            return
        tag, kind, count = struct.unpack(order + entry, values)
        if kind in TIFF_TYPE_OF_NUMBERS and count > TAG_LIMIT:
            raise TooCostlyError(
                f"its tag {tag} has {count:,} values, where at most {TAG_LIMIT:,} are read; store"
                " it in larger strips"
            )


def _strip_bytes(image: Image.Image) -> int:
    """What libtiff holds of a TIFF at once besides the image: a strip or tile of it, decoded."""
    tags = image.tag_v2
    width, height = image.size
    strip = width * min(_number(tags.get(ROWS_OF_STRIP), height), height)
    if TILE_WIDTH in tags:
        tile = _number(tags.get(TILE_WIDTH), width), _number(tags.get(TILE_HEIGHT), height)
        _check_pixels(*tile, PIXEL_LIMIT, " in each tile")
        strip = tile[0] * tile[1]
    bits = tags.get(BITS, (8,))
    bits = max(bits) if isinstance(bits, tuple) else bits
    taken = strip * max(4, _number(tags.get(SAMPLES), 1) * bits / 8)
    if image.info["compression"] == "jpeg":
        _check_scans(_scans(image.fp), min(strip, width * height))
        taken += 6 * strip  # what libjpeg keeps of a progressive one
    return int(taken)


def _number(value, otherwise: int) -> int:
    return value if isinstance(value, int) and value > 0 else otherwise
