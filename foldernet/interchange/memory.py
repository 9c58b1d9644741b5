"""Images in memory, of which a trained network can be asked as of files."""

import io
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from foldernet.images import limits
from foldernet.images.reader import ImageError, Rule, converted, read_with_header
from foldernet.terminal import UserError

Source = str | os.PathLike | bytes | io.IOBase | np.ndarray | Image.Image
PATH = (str, os.PathLike)


def extend(predictor: Any) -> None:
    """Have a predictor take whatever `named_images` takes."""
    predictor.named_images = lambda images: named_images(predictor, images)


def named_images(predictor: Any, images: Source | Iterable[Source]) -> Iterator[tuple[str, Any]]:
    """One image or several, each with its name.

    Args:
        predictor: a `foldernet.inference.predictor.Predictor`, or what has its size and rule.
        images: a path (str or PathLike); a file's content, as bytes or open for reading bytes;
            pixels, as a Pillow image or as a uint8 array (height, width) or (height, width, 1, 3 or
            4); or an iterable of any of these.

    Returns:
        Of a path, the path twice. Of an image in memory what it is, such as `<bytes>`, and its
        pixels, or an ImageError; never more than one of them is held.

    Raises:
        UserError: something is none of these.
    """
    one = isinstance(images, (*PATH, bytes, bytearray, np.ndarray)) or hasattr(images, "read")
    for image in [images] if one or not isinstance(images, Iterable) else images:
        if isinstance(image, PATH):
            yield os.fsdecode(image), os.fsdecode(image)
            continue
        try:
            pixels = read(image, predictor.size, predictor.rule)
        except ImageError as error:
            # Without the traceback, which holds the file's content and what was decoded of it.
            pixels = ImageError(error.path, error.reason, error.kind)
        yield f"<{type(image).__name__}>", pixels


def read(image: Source, size: tuple[int, int] | None, rule: Rule | None) -> np.ndarray:
    """The pixels of an image, (height, width, channels) uint8, by the reader of image files.

    Args:
        image: a file's content, as bytes or open for reading bytes, to which the same limits apply
            as to files; or pixels, as a Pillow image or as an array (height, width) or
            (height, width, 1, 3 or 4) uint8. A large JPEG's file is decoded small, so that it may
            give slightly other pixels than a Pillow image of it, which is shrunk from full size.
        size, rule: as of `foldernet.images.reader.read_with_header`.

    Raises:
        ImageError: it can't be read.
        UserError: it is none of these.
    """
    kind = type(image).__name__
    if isinstance(image, np.ndarray):
        kind = f"array of {image.dtype} and shape {image.shape}"
        fits = image.ndim > 1 and image.size and image.shape[2:] in ((), (1,), (3,), (4,))
        if fits and image.dtype == np.uint8:
            image = Image.fromarray(image.squeeze(2) if image.shape[2:] == (1,) else image)
    if isinstance(image, Image.Image):
        return converted(image, size, rule or Rule())
    readable = hasattr(image, "read") and not isinstance(image, io.TextIOBase)
    content = image.read(limits.allowed(limits.BYTE_LIMIT) + 1) if readable else image
    if not isinstance(content, bytes):
        raise UserError(
            f"An image can't be of type {kind}. Expected a path, bytes, a file opened with 'rb', a"
            " Pillow image, or a uint8 array (height, width) or (height, width, 1, 3 or 4)."
        )
    # The reader's checks look at files: on Linux at one in memory, so that none is on a disk.
    if sys.platform == "linux":
        with open(os.memfd_create("image"), "wb") as file:
            file.write(content)
            file.flush()
            return read_with_header(f"/proc/self/fd/{file.fileno()}", size, rule)[0]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "image")
        path.write_bytes(content)
        return read_with_header(path, size, rule)[0]
