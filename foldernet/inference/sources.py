"""What a trained network can be asked about: image files, and images that are in memory."""

import io
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from foldernet.images import limits
from foldernet.images.reader import converted, read_image
from foldernet.terminal import UserError

Source = str | os.PathLike | bytes | io.IOBase | np.ndarray | Image.Image
PATH = (str, os.PathLike)


def named(images: Source | Iterable[Source]) -> Iterator[tuple[str, Source]]:
    """One image or several, each with its name: its path, or what it is, such as `<bytes>`."""
    one = isinstance(images, (*PATH, bytes, bytearray, np.ndarray)) or hasattr(images, "read")
    for image in [images] if one or not isinstance(images, Iterable) else images:
        yield os.fsdecode(image) if isinstance(image, PATH) else f"<{type(image).__name__}>", image


def read(image: Source, *rule) -> np.ndarray:
    """The pixels of an image, (height, width, channels) uint8, by the reader of image files.

    Args:
        image: the path of a file; a file's content, as bytes or open for reading bytes, to which
            the same limits apply; or pixels, as a Pillow image or as an array (height, width) or
            (height, width, 1, 3 or 4) uint8. A large JPEG's file is decoded small, so that it may
            give slightly other pixels than a Pillow image of it, which is shrunk from full size.
        rule: size, color mode and so on, as of `foldernet.images.reader.read_image`.

    Raises:
        ImageError: it can't be read.
        UserError: it is none of these.
    """
    if isinstance(image, PATH):
        return read_image(image, *rule)
    kind = type(image).__name__
    if isinstance(image, np.ndarray):
        kind = f"array of {image.dtype} and shape {image.shape}"
        fits = image.ndim > 1 and image.size and image.shape[2:] in ((), (1,), (3,), (4,))
        if fits and image.dtype == np.uint8:
            image = Image.fromarray(image.squeeze(2) if image.shape[2:] == (1,) else image)
    if isinstance(image, Image.Image):
        return converted(image, *rule)
    readable = hasattr(image, "read") and not isinstance(image, io.TextIOBase)
    content = image.read(limits.BYTE_LIMIT + 1) if readable else image
    if not isinstance(content, bytes):
        raise UserError(
            f"An image can't be of type {kind}. Expected a path, bytes, a file opened with 'rb', a"
            " Pillow image, or a uint8 array (height, width) or (height, width, 1, 3 or 4)."
        )
    with tempfile.TemporaryDirectory() as folder:  # the reader's checks look at files
        path = Path(folder, "image")
        path.write_bytes(content)
        return read_image(path, *rule)
