"""What all training images together suggest of how they are read: the gray levels that those of 16
bits really use (microscopes and cameras store 10, 12 or 14), and the color behind transparency."""

import contextlib
import dataclasses

import numpy as np

from foldernet import terminal
from foldernet.datasets.image_list import Dataset, ImageList
from foldernet.options import TrainOptions
from foldernet.terminal import UserError

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
    from foldernet.images.reader import Rule  # which a wrong folder can do without

    if not hasattr(options, "white_level"):  # the mode reads images its own way
        return options
    images = dataset.splits["training"]
    if options.white_level is None:
        options = dataclasses.replace(options, white_level=_white_level(images))
    if options.background == MEAN:
        color = mean_color(images)
        terminal.status(f"mean color of the training images: {color}, behind transparency")
        options = dataclasses.replace(options, background=color)
    try:
        Rule(background=options.background)
    except ValueError:
        raise UserError(
            f"--background '{options.background}' is no color. Choose white, gray, black, mean, or"
            " a color as '#ff8800'."
        ) from None
    return options


def mean_color(images: ImageList) -> str:
    """The mean color of images, "#rrggbb", each pixel as far as it is opaque; gray if none is."""
    from foldernet.images.reader import ImageError, read_image
    from foldernet.images.threads import threads

    def look(position: int) -> np.ndarray:
        try:
            # Of one color there is nothing to interpolate, so that none comes from hidden pixels.
            pixels = read_image(images.path(position), (SIDE, SIDE), "rgba", "nearest")
        except ImageError:  # the checks will name it, with the reason
            return np.zeros(4)
        *colors, alpha = np.moveaxis(pixels.astype(float), 2, 0)
        return np.array([*((color * alpha).sum() for color in colors), alpha.sum()])

    *colors, alpha = sum(threads.map(look, _sample(images)))
    shares = np.array(colors) / alpha if alpha else np.full(3, 128)
    return "#{:02x}{:02x}{:02x}".format(*shares.round().astype(int))


def _white_level(images: ImageList) -> int:
    from foldernet.images import limits
    from foldernet.images.reader import ImageError, opened

    gray, colors = 0, 0  # the highest levels
    for position in _sample(images):
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
    level = next(level for level in LEVELS if gray <= level)
    if not gray or level == FULL:
        return FULL
    terminal.status(
        f"16-bit images use levels up to {gray:,}: {level:,} becomes white, here and in"
        f" prediction; --white-level {FULL} keeps the full range"
    )
    return level


def _sample(images: ImageList) -> list[int]:
    return np.unique(np.linspace(0, len(images) - 1, LOOKED_AT).astype(int)).tolist()
