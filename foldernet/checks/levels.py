"""What all training images together suggest of how they are read: the gray levels that those of 16
bits really use (microscopes and cameras store 10, 12 or 14), and the color behind transparency."""

import contextlib
import dataclasses
import re
from typing import TYPE_CHECKING

import numpy as np

from foldernet import terminal
from foldernet.datasets.image_list import Dataset, ImageList
from foldernet.options import TrainOptions
from foldernet.terminal import UserError

if TYPE_CHECKING:  # it needs OpenCV, which a wrong folder can do without
    from foldernet.images.reader import Rule

LOOKED_AT = 64  # training images, evenly spaced: a dataset comes from one camera
SIDE = 64  # pixels that are looked at of an image, for its colors
FULL = 65_535
LEVELS = (1023, 4095, 16_383, FULL)  # of 10, 12, 14 and 16 bits
DARK = 64  # of 256 levels, which 14 bits stored in 16 fill
MEAN = "mean"


def choose(options: TrainOptions, dataset: Dataset) -> TrainOptions:
    """The options with a `white_level` and a `background` that suit the training images.

    The level is the lowest of `LEVELS` that no image of 16 bits exceeds; one that was given stays.
    The background MEAN becomes `mean_color`.

    Raises:
        UserError: the background is no color.
    """
    from foldernet.images.reader import RULES  # which a wrong folder can do without

    if not hasattr(options, "white_level"):  # the mode reads images its own way
        return options
    images = dataset.splits["training"]
    if options.white_level is None:
        options = dataclasses.replace(options, white_level=_white_level(images))
    if options.background == MEAN:
        color = mean_color(images)
        terminal.status(f"mean color of the training images: {color}, behind transparency")
        options = dataclasses.replace(options, background=color)
    if not re.fullmatch(RULES["background"], options.background):
        raise UserError(
            f"--background '{options.background}' is no color. Choose white, gray, black, mean, or"
            " a color as '#ff8800'."
        )
    return options


def mean_color(images: ImageList) -> str:
    """The mean color of images, "#rrggbb", each pixel as far as it is opaque; "gray" if none is."""
    from foldernet.images.reader import Rule

    # Nearest pixels: interpolation would mix in the colors of those that are transparent.
    rule = Rule("rgba", "nearest")
    pixels = np.reshape(read_sample(images.paths, (SIDE, SIDE), rule), (-1, 4))
    if not pixels[:, 3].any():
        return "gray"
    color = np.average(pixels[:, :3], axis=0, weights=pixels[:, 3])
    return "#{:02x}{:02x}{:02x}".format(*color.round().astype(int))


def read_sample(paths: list[str], size: tuple[int, int], rule: "Rule") -> list[np.ndarray]:
    """The pixels of `LOOKED_AT` of the files, evenly spaced; what can't be read, the checks will
    name."""
    from foldernet.images.reader import ImageError
    from foldernet.images.store import PixelStore

    rows = PixelStore(len(paths), paths.__getitem__, size, rule, "off").rows(_sample(len(paths)))
    return [row for row in rows if not isinstance(row, ImageError)]


def _white_level(images: ImageList) -> int:
    from foldernet.images import limits
    from foldernet.images.reader import ImageError, opened

    gray, colors = 0, 0  # the highest levels
    for position in _sample(len(images)):
        # The checks will name what can't be read, with the reason.
        with contextlib.suppress(ImageError), opened(images.path(position)) as (image, extra):
            if ";16" not in str(image.tile):
                continue
            limits.check_memory(image, extra)
            if image.mode.startswith("I;16"):
                gray = max(gray, int(np.asarray(image).max()))
            else:
                colors = max(colors, int(np.asarray(image.convert("RGB")).max()))
    if 0 < colors < DARK:
        terminal.warn(
            f"of colors with 16 bits the upper 8 are read, and these images use {colors + 1} of 256"
            " levels there. Stretch them to 16 bits before training, or convert them to grayscale"
        )
    level = next(level for level in LEVELS if gray <= level) if gray else FULL
    if level < FULL:
        told = f"16-bit images use levels up to {gray:,}: {level:,} becomes white (--white-level)"
        terminal.status(told)
    return level


def _sample(count: int) -> np.ndarray:
    """Positions of `LOOKED_AT` out of so many images, evenly spaced."""
    return np.unique(np.linspace(0, count - 1, LOOKED_AT).astype(int))
