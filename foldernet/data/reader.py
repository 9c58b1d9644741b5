"""The one image reader: training, prediction and everything else see the same pixels.

Pillow decodes and OpenCV resizes. A photograph for a small network is decoded small, too: libjpeg
scales by 1/2, 1/4 or 1/8 before the costly part of its work (Pillow calls it draft).
"""

import contextlib
import dataclasses
import os
import stat
from collections.abc import Iterator
from typing import Literal

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
BYTE_LIMIT = (
    256 * 2**20
)  # of a file; a 50-megapixel TIFF of 16 bits needs 300 MB, anything usual less
PIXEL_LIMIT = 50_000_000  # of an image, by its header: checked before decoding takes the memory
MODES = {
    "rgb": ("RGB", 3),
    "grayscale": ("L", 1),
    "rgba": ("RGBA", 4),
}  # name -> Pillow's, channels
PILLOW_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "box": Image.Resampling.BOX,
    "hamming": Image.Resampling.HAMMING,
}
INTERPOLATIONS = ("area", *PILLOW_FILTERS)
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # EXIF orientation -> what undoes it; ImageOps.exif_transpose fails where another tag is damaged
READER_VERSION = 1  # counted up whenever the same file would give other pixels
DRAFT_MARGIN = 2  # decode at this many times the target or more: closer to averaging all the pixels


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


@dataclasses.dataclass(frozen=True)
class Header:
    """What an image file says of itself before it is decoded.

    Attributes:
        format: of its content, one of `FORMATS`; an MPO counts as the JPEG that it begins with.
        height, width: in pixels, upright, as `read_image` gives it.
    """

    format: str
    height: int
    width: int


def read_image(
    path: str | os.PathLike,
    size: tuple[int, int] | None = None,
    color_mode: Literal["rgb", "grayscale", "rgba"] = "rgb",
    interpolation: str = "area",
    keep_aspect_ratio: bool = False,
) -> np.ndarray:
    """Read an image file.

    EXIF orientation is applied, 16 bits are scaled to 8, transparency is composited on white (save
    for `rgba`), palettes and CMYK are converted, and of an animation the first frame is taken.
    Nothing notices a flipped bit inside a JPEG's data: no decoder can.

    Args:
        path: a JPEG, PNG, WebP, BMP, GIF, TIFF or PPM file; its content decides, not its ending.
        size: (height, width) in pixels to resize to; None keeps the image's own.
        color_mode: three channels, one, or four.
        interpolation: "area" averages the covered pixels when shrinking and interpolates linearly
            when growing; the other names are Pillow's filters of that name.
        keep_aspect_ratio: crop the centre to the proportions of `size` before resizing, instead of
            stretching.

    Returns:
        (height, width, channels) uint8.

    Raises:
        ImageError: unreadable, truncated, too large or of an unknown format, whatever the cause.
        ValueError: an unknown `color_mode` or `interpolation`.
    """
    pixels, _ = read_with_header(path, size, color_mode, interpolation, keep_aspect_ratio)
    return pixels


def read_with_header(
    path: str | os.PathLike,
    size: tuple[int, int] | None = None,
    color_mode: Literal["rgb", "grayscale", "rgba"] = "rgb",
    interpolation: str = "area",
    keep_aspect_ratio: bool = False,
) -> tuple[np.ndarray, Header]:
    """As `read_image`, and with the pixels what the header said: the file is opened once."""
    if color_mode not in MODES or interpolation not in INTERPOLATIONS:
        raise ValueError(
            f"Unknown color_mode '{color_mode}' or interpolation '{interpolation}'; expected one of"
            f" {', '.join(MODES)}, and one of {', '.join(INTERPOLATIONS)}."
        )
    mode, channels = MODES[color_mode]
    with _opened(os.fspath(path)) as image:
        header = _header(image)  # before draft, which changes the size
        if size and interpolation == "area":
            image.draft(None, (DRAFT_MARGIN * max(size), DRAFT_MARGIN * max(size)))
        image.load()
        pixels = _decoded(image, size, mode, interpolation, keep_aspect_ratio)
    if size:
        pixels = _resized(pixels, size)
    return pixels.reshape(*pixels.shape[:2], channels), header


def image_size(path: str | os.PathLike) -> tuple[int, int]:
    """(height, width) in pixels of an image file, by its header: upright, as `read_image` gives it.

    Raises:
        ImageError: as `read_image`, as far as the header shows it.
    """
    header = read_header(path)
    return header.height, header.width


def read_header(path: str | os.PathLike) -> Header:
    """Read no more of an image file than its header.

    Raises:
        ImageError: as `read_image`, as far as the header shows it.
    """
    with _opened(os.fspath(path)) as image:
        return _header(image)


def _header(image: Image.Image) -> Header:
    width, height = image.size
    # Pillow gives the size of a TIFF upright already.
    if image.format != "TIFF" and _orientation(image) >= 5:
        width, height = height, width
    return Header("JPEG" if image.format == "MPO" else image.format, height, width)


@contextlib.contextmanager
def _opened(path: str) -> Iterator[Image.Image]:
    """An image file, not decoded yet; whatever goes wrong while it is open is an ImageError."""
    kind = "unreadable"
    try:
        _check_file(os.stat(path))
        with open(path, "rb") as file, Image.open(file, formats=FORMATS) as image:
            _check_header(image)
            kind = "truncated"  # what goes wrong from here on, after a good header
            yield image
    except ImageError as error:
        raise ImageError(path, error.reason, error.kind) from None
    except Image.DecompressionBombError as error:
        raise ImageError(path, _reason(error), "too large") from error
    except Exception as error:  # Pillow's plugins raise nearly everything, not OSError alone
        raise ImageError(path, _reason(error), kind) from error


def _check_file(status: os.stat_result) -> None:
    """Before opening it: to open a named pipe waits for whoever writes to it."""
    if not stat.S_ISREG(status.st_mode):
        raise ImageError("", "not a file")
    if status.st_size == 0:
        raise ImageError("", "empty file")
    if status.st_size > BYTE_LIMIT:
        megabytes = f"{status.st_size / 2**20:,.0f} MB"
        raise ImageError(
            "", f"{megabytes}, where at most {BYTE_LIMIT // 2**20} are read", "too large"
        )


def _check_header(image: Image.Image) -> None:
    width, height = image.size
    if width * height > PIXEL_LIMIT:
        raise ImageError(
            "",
            f"{width:,}x{height:,} are {width * height / 1e6:,.0f} megapixels, where at most"
            f" {PIXEL_LIMIT // 1_000_000} are decoded; store a smaller copy",
            "too large",
        )


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return f"not an image of a known format ({', '.join(FORMATS)})"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split()) or type(error).__name__


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 (upright) to 8; a damaged EXIF block says nothing of the pixels."""
    try:
        orientation = image.getexif().get(0x0112)
    except Exception:
        return 1
    return orientation if orientation in UPRIGHT else 1


def _decoded(image, size, mode: str, interpolation: str, keep_aspect_ratio: bool) -> np.ndarray:
    """Pixels of a loaded image, upright, in `mode`, cropped and filtered as asked for."""
    orientation = _orientation(image)
    image = _in_eight_bits(image)
    if orientation != 1:
        image = image.transpose(UPRIGHT[orientation])
    if image.has_transparency_data:
        image = image.convert("RGBA")
        if mode != "RGBA":
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    if image.mode != mode:
        image = image.convert(mode)
    if size and keep_aspect_ratio:
        image = _centre_crop(image, size)
    if size and interpolation != "area":
        image = image.resize((size[1], size[0]), PILLOW_FILTERS[interpolation])
    return np.asarray(image)


def _in_eight_bits(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise ImageError(
            "", "floating-point pixels have no known range; store it with 8 or 16 bits"
        )
    if not image.mode.startswith("I"):
        return image
    if image.mode == "I" and image.format != "PPM":  # Pillow's mode for a PPM of 16 bits, too
        raise ImageError("", "32-bit pixels have no known range; store it with 8 or 16 bits")
    return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))


def _centre_crop(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The largest centred part with the proportions of `size`, (height, width)."""
    width, height = image.size
    crop_width = min(width, max(1, round(height * size[1] / size[0])))
    crop_height = min(height, max(1, round(width * size[0] / size[1])))
    left, top = (width - crop_width) // 2, (height - crop_height) // 2
    return image.crop((left, top, left + crop_width, top + crop_height))


def _resized(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Shrink by averaging the covered area, then grow linearly: each axis as it needs."""
    height, width = min(pixels.shape[0], size[0]), min(pixels.shape[1], size[1])
    if (height, width) != pixels.shape[:2]:
        pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
    if (height, width) != tuple(size):
        pixels = cv2.resize(pixels, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
    return pixels
