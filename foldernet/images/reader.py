"""The one image reader: training, prediction and everything else see the same pixels.

Pillow decodes and OpenCV resizes. A photograph for a small network is decoded small, too: libjpeg
scales by 1/2, 1/4 or 1/8 before the costly part of its work (Pillow calls it draft). What is large
all the same is converted and shrunk strip by strip, so that there is never a second copy of it.
What a file may cost at all is in `limits`.
"""

import contextlib
import dataclasses
import functools
import os
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import cv2
import numpy as np
import PIL
from PIL import Image, UnidentifiedImageError

from foldernet.images import limits, plain_jpeg

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "AVIF")
with contextlib.suppress(ImportError):  # an extra, for the HEIC files of phones
    import pillow_heif

    pillow_heif.register_heif_opener(thumbnails=False, decode_threads=1)
    FORMATS += ("HEIF",)  # Pillow fails at the name of a format that it doesn't have
# Name -> Pillow's, channels.
MODES = {"rgb": ("RGB", 3), "grayscale": ("L", 1), "rgba": ("RGBA", 4)}
PILLOW_FILTERS = {each.name.lower(): each for each in Image.Resampling}
INTERPOLATIONS = ("area", *PILLOW_FILTERS)
BACKGROUNDS = ("white", "gray", "black", "#[0-9a-fA-F]{6}")
RULES = {"color_mode": MODES, "interpolation": INTERPOLATIONS, "background": BACKGROUNDS}
RULES = {name: "|".join(known) for name, known in RULES.items()}  # as regular expressions
# EXIF orientation -> OpenCV's code of the flip that undoes it, after a transposition where the
# image lies on its side.
FLIPS, ON_ITS_SIDE = {2: 1, 3: -1, 4: 0, 6: 1, 7: -1, 8: 0}, range(5, 9)
FULL = 65_535  # what 16 bits hold
# Colors of 16 bits, as Pillow names them; bytes that a pixel of them takes besides the image.
DEEP, DEEP_BYTES = r"\b(RGBA?|LA);16|'RGB', 65535", 16
READER_VERSION = 3  # counted up whenever the same file would give other pixels
READER = f"reader {READER_VERSION} of {PIL.__version__} and {cv2.__version__}"
DRAFT_MARGIN = 2  # decode at this many times the target or more: closer to averaging all the pixels
WHOLE_LIMIT = 8_000_000  # pixels; what is decoded to more is shrunk in strips, to save memory
STRIP_PIXELS = 2**20
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)  # no warnings of odd tags


class ImageError(Exception):
    """An image that can't be read.

    Attributes:
        path: the file.
        reason: why, in words; the text of the error is "path: reason".
        kind: "unreadable"; "truncated", where the header could be read and the rest could not; or
            "too large".
    """

    def __init__(self, path: str, reason: str, kind: str = "unreadable"):
        super().__init__(f"{path}: {reason}")
        self.path, self.reason, self.kind = path, reason, kind


class Header(NamedTuple):
    """What an image file says of itself before it is decoded.

    Attributes:
        format: of its content, one of `FORMATS`; an MPO counts as the JPEG that it begins with.
        height, width: in pixels, upright, as `read_image` gives it.
    """

    format: str
    height: int
    width: int


@dataclasses.dataclass(frozen=True)
class Rule:
    """How a file becomes pixels; it travels in a model's file.

    Attributes:
        color_mode: "rgb", "grayscale" or "rgba": three channels, one, or four.
        interpolation: "area" averages the covered pixels when shrinking and interpolates linearly
            when growing; the other names are Pillow's filters of that name. Of an image that is
            decoded to more than `WHOLE_LIMIT` pixels, first the rows are shrunk, then the columns:
            a gray level may differ by one, and where one is turned, its crop by a pixel.
        keep_aspect_ratio: crop the center to the proportions asked for before resizing, instead of
            stretching.
        background: what lies behind transparency: "white", "gray", "black", or a color as
            "#ff8800"; not for "rgba".
        white_level: of images of 16 bits, the value that becomes white, such as 4095 of a camera's
            12 bits; what is above it becomes white, too.

    Raises:
        ValueError: an unknown name.
    """

    color_mode: str = "rgb"
    interpolation: str = "area"
    keep_aspect_ratio: bool = False
    background: str = "white"
    white_level: int = FULL

    @property
    def channels(self) -> int:
        """Of the pixels."""
        return MODES[self.color_mode][1]

    def __post_init__(self):
        for name, known in RULES.items():
            if not re.fullmatch(known, str(getattr(self, name))):
                raise ValueError(f"Unknown {name} '{getattr(self, name)}'; expected {known}.")


def read_image(
    path: str | os.PathLike, size: tuple[int, int] | None = None, *rule, **named
) -> np.ndarray:
    """Read an image file.

    EXIF orientation is applied, 16 bits are scaled to 8, transparency is composited on a
    background, palettes and CMYK are converted, and of an animation the first frame is taken.
    Nothing notices a flipped bit inside a JPEG's data: no decoder can.

    Args:
        path: an image file of one of `FORMATS`; its content decides, not its extension.
        size: (height, width) in pixels to resize to; None keeps the image's own.
        rule, named: attributes of `Rule`, in their order or by name.

    Returns:
        (height, width, channels) uint8.

    Raises:
        ImageError: unreadable, truncated, too costly (see `limits`) or of an unknown format,
            whatever the cause.
        ValueError: as of `Rule`.
    """
    return read_with_header(path, size, Rule(*rule, **named))[0]


def read_with_header(path, size=None, rule: Rule | None = None) -> tuple[np.ndarray, Header]:
    """As `read_image`, and with the pixels what the header said: the file is opened once."""
    path, rule = os.fspath(path), rule or Rule()
    least = DRAFT_MARGIN * max(size) if size and rule.interpolation == "area" else None
    if plain := plain_jpeg.read(path, least):
        pixels, sides, orientation = plain
        if rule.color_mode != "rgb":
            pixels = np.asarray(_in_mode(Image.fromarray(pixels), rule))
        header = Header("JPEG", *(sides[::-1] if orientation in ON_ITS_SIDE else sides))
        return _fitted(_upright(pixels, orientation), size, rule), header
    with opened(path) as (image, extra):
        size_in_file = image.size  # draft changes it
        if least:
            image.draft(None, (least, least))
        limits.check_memory(image, extra)
        values = sixteen_bits(image, path, extra) if rule.white_level < FULL else None
        image.load()
        if values is not None and values.ndim == 3:
            colors = Image.fromarray(_levels(rule.white_level)[values])
            if image.mode == "RGBA":
                colors.putalpha(image.getchannel("A"))
            image.paste(colors)  # which keeps its orientation
        header = _header(image, size_in_file)  # of a PNG, EXIF may stand behind the pixels
        return converted(image, size, rule), header


def converted(image: Image.Image, size: tuple[int, int] | None, rule: Rule) -> np.ndarray:
    """The pixels of a Pillow image, as `read_image` gives those of a file.

    Raises:
        ImageError: nobody knows the range of its pixels.
        Exception: whatever Pillow raises where it can't decode or convert them.
    """
    _check_depth(image)  # again: it may be no file's
    image.load()
    orientation = _orientation(image)
    if image.width * image.height > WHOLE_LIMIT:
        stored = size[::-1] if size and orientation in ON_ITS_SIDE else size
        pixels = _shrunk_in_strips(image, stored or image.size[::-1], rule)
        rule = Rule(rule.color_mode)  # they are cropped and filtered
    else:
        pixels = np.asarray(_in_mode(image, rule))
    return _fitted(_upright(pixels, orientation), size, rule)


def read_header(path: str | os.PathLike) -> Header:
    """Read no more of an image file than its header; but of a PNG without EXIF before its pixels,
    Pillow decodes these, too, to look behind them.

    Raises:
        ImageError: as `read_image`, as far as the header shows it.
    """
    with opened(os.fspath(path)) as (image, _):
        return _header(image, image.size)


def _header(image: Image.Image, size: tuple[int, int]) -> Header:
    # Pillow gives the size of a TIFF upright already.
    turned = image.format != "TIFF" and _orientation(image) in ON_ITS_SIDE
    sides = size if turned else size[::-1]
    return Header("JPEG" if image.format == "MPO" else image.format, *sides)


@contextlib.contextmanager
def opened(path: str) -> Iterator[tuple[Image.Image, int]]:
    """An image file, not decoded yet, and how many bytes decoding takes besides the image, for
    `limits.check_memory`; whatever goes wrong while it is open is an ImageError."""
    kind = "unreadable"
    try:
        with limits.opened(path) as file:
            limits.check_structure(file)
            with Image.open(file, formats=FORMATS) as image:
                extra = limits.check_header(image, file)
                _check_depth(image)
                if isinstance(file, limits.BoundedFile):
                    file.header_ends()
                kind = "truncated"  # what goes wrong from here on, after a good header
                yield image, extra
    except ImageError as error:
        raise ImageError(path, error.reason, error.kind) from None
    except (Image.DecompressionBombError, limits.TooCostlyError) as error:
        raise ImageError(path, _reason(error), "too large") from error
    except Exception as error:  # Pillow's plugins raise nearly everything, not OSError alone
        raise ImageError(path, _reason(error), kind) from error


def _check_depth(image: Image.Image) -> None:
    depth = {"F": "floating-point", "I": "32-bit"}.get(image.mode)
    if depth and (image.mode, image.format) != ("I", "PPM"):  # Pillow reads 16 bits of those as 32
        raise ImageError("", f"{depth} pixels have no known range; save it with 8 or 16 bits")


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return f"not an image of a known format ({', '.join(FORMATS)})"
    said = getattr(error, "strerror", None) or " ".join(str(error).split())
    return said or type(error).__name__


def _orientation(image: Image.Image) -> Any:
    """The EXIF orientation, 1 to 8 where it means anything; a damaged block says nothing."""
    try:
        return image.getexif().get(0x0112)
    except Exception:
        return None


def _fitted(pixels: np.ndarray, size: tuple[int, int] | None, rule: Rule) -> np.ndarray:
    """Upright pixels, cropped and resized as asked for: (height, width, channels) uint8."""
    if size and rule.keep_aspect_ratio:
        left, top, right, bottom = _center(pixels.shape[1::-1], size)
        pixels = pixels[top:bottom, left:right]
    if size:
        filtered = rule.interpolation != "area"
        pixels = _shrunk(pixels, size, rule.interpolation) if filtered else _resized(pixels, size)
    return pixels.reshape(*pixels.shape[:2], rule.channels)


def _shrunk_in_strips(image: Image.Image, size: tuple[int, int], rule: Rule) -> np.ndarray:
    """Pixels of a loaded image, not upright yet, cropped and no larger than `size`: each row is
    shrunk by itself, then each column."""
    box = _center(image.size, size) if rule.keep_aspect_ratio else (0, 0, *image.size)
    left, top, right, bottom = box
    height, width = min(bottom - top, size[0]), min(right - left, size[1])
    rows = None
    step = max(1, STRIP_PIXELS // (right - left))
    for start in range(top, bottom, step):
        strip = image.crop((left, start, right, min(start + step, bottom)))
        strip = np.asarray(_in_mode(strip, rule))
        strip = _shrunk(strip, (len(strip), width), rule.interpolation)
        if rows is None:
            rows = np.empty((bottom - top, *strip.shape[1:]), np.uint8)
        rows[start - top : start - top + len(strip)] = strip
    return _shrunk(rows, (height, width), rule.interpolation)


def _in_mode(image: Image.Image, rule: Rule) -> Image.Image:
    mode, white = MODES[rule.color_mode][0], rule.white_level
    if image.mode.startswith("I"):
        image = Image.fromarray(_levels(white)[np.asarray(image)])
    if image.has_transparency_data:
        image = image.convert("RGBA")
        if mode != "RGBA":
            behind = Image.new("RGBA", image.size, rule.background)
            image = Image.alpha_composite(behind, image)
    return image if image.mode == mode else image.convert(mode)


def sixteen_bits(image: Image.Image, path: str, extra: int) -> np.ndarray | None:
    """The values of an opened image of 16 bits, of whose colors Pillow keeps the upper 8.

    Returns:
        uint16 (height, width), or (height, width, 3) without alpha, turned as Pillow turns them;
        None of an image of fewer bits.

    Raises:
        ImageError: OpenCV can't read its colors.
        Exception: as of `limits.check_memory` and of Pillow.
    """
    if image.mode.startswith("I"):
        limits.check_memory(image, extra)
        return np.asarray(image)
    if not re.search(DEEP, str(image.tile)):
        return None
    limits.check_memory(image, extra + DEEP_BYTES * image.width * image.height)
    image.load()  # Pillow knows whether the file is whole
    values = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None or values.dtype != np.uint16 or values.ndim != 3:
        raise ImageError(path, "its 16-bit colors can't be read; save it as PNG")
    return values[..., 2::-1]


@functools.lru_cache
def _levels(white: int) -> np.ndarray:
    """Values of 16 bits -> 8, of which `white` becomes 255; of 65535, the upper 8 bits."""
    return (np.minimum(np.arange(FULL + 1), white) * 256 // (white + 1)).astype(np.uint8)


def _upright(pixels: np.ndarray, orientation: Any) -> np.ndarray:
    pixels = cv2.transpose(pixels) if orientation in ON_ITS_SIDE else pixels
    return cv2.flip(pixels, FLIPS[orientation]) if orientation in FLIPS else pixels


def _center(of: tuple[int, int], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The box of the largest centered part with the proportions of `size`, (height, width), of an
    image of (width, height)."""
    width, height = of
    crop_width = min(width, max(1, round(height * size[1] / size[0])))
    crop_height = min(height, max(1, round(width * size[0] / size[1])))
    left, top = (width - crop_width) // 2, (height - crop_height) // 2
    return left, top, left + crop_width, top + crop_height


def _shrunk(pixels: np.ndarray, size: tuple[int, int], interpolation: str) -> np.ndarray:
    if pixels.shape[:2] == size:
        return pixels
    if interpolation == "area":
        return cv2.resize(pixels, size[::-1], interpolation=cv2.INTER_AREA)
    return np.asarray(Image.fromarray(pixels).resize(size[::-1], PILLOW_FILTERS[interpolation]))


def _resized(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Shrink by averaging the covered area, then grow linearly: each axis as it needs."""
    height, width = min(pixels.shape[0], size[0]), min(pixels.shape[1], size[1])
    pixels = _shrunk(pixels, (height, width), "area")
    if (height, width) != tuple(size):
        pixels = cv2.resize(pixels, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
    return pixels
