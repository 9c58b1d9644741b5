"""What all training images together suggest of how they are read: the gray levels that those of 16
bits really use (microscopes and cameras store 10, 12 or 14), and the color behind transparency."""

import contextlib
import dataclasses
import re

import numpy as np

from foldernet import terminal
from foldernet.checks.findings import Examined
from foldernet.datasets.image_list import Dataset, ImageList
from foldernet.images.reader import FULL, RULES, ImageError, Rule, opened, sixteen_bits
from foldernet.images.store import PixelStore
from foldernet.options import TrainOptions
from foldernet.terminal import UserError

LOOKED_AT = 64  # training images, evenly spaced: a dataset comes from one camera
SIDE = 64  # pixels that are looked at of an image, for its colors
LEVELS = (1023, 4095, 16_383, FULL)  # of 10, 12, 14 and 16 bits
MEAN = "mean"
MOSTLY = 0.5  # of a class's images


def choose(options: TrainOptions, dataset: Dataset) -> TrainOptions:
    """The options with a `white_level` and a `background` that suit the training images.

    The level is the lowest of `LEVELS` that no image of 16 bits exceeds; one that was given stays.
    The background MEAN becomes `_mean_color`.

    Raises:
        UserError: the background is no color.
    """
    if not hasattr(options, "white_level"):  # the mode reads images its own way
        return options
    images = dataset.splits["training"]
    level, background = options.white_level or _white_level(images), options.background
    if background == MEAN:
        background = _mean_color(images)
        terminal.status(f"mean color of the training images: {background}, behind transparency")
    if not re.fullmatch(RULES["background"], background):
        raise UserError(
            f"--background '{background}' is no color. Choose white, gray, black, mean, or a color"
            " as '#ff8800'."
        )
    return dataclasses.replace(options, white_level=level, background=background)


def name_blank_classes(dataset: Dataset, examined: Examined, store: PixelStore) -> None:
    """Warn of classes whose training images are mostly blank as the network sees them, and of the
    backgrounds that mend it where transparency is the cause.

    Args:
        store: of the training images.
    """
    training = dataset.splits["training"]
    blank = (examined.split == 0) & examined.records["blank"]
    times = np.bincount(examined.label[blank], minlength=len(dataset.classes))
    worst = np.flatnonzero(times > MOSTLY * training.counts)
    if not len(worst):
        return
    here = np.flatnonzero(blank & np.isin(examined.label, worst))
    paths, mends = [examined.paths[at] for at in here], []
    for name in ("white", "gray", "black", MEAN):
        color = _mean_color(training) if name == MEAN else name
        rule = dataclasses.replace(store.rule, background=color)
        images = _sample(paths, store.size, rule)
        if sum(np.ptp(image, axis=(0, 1)).any() for image in images) > MOSTLY * len(images):
            mends.append(name)
    mend = f" They are transparent: try --background {' or '.join(mends)}." if mends else ""
    names = terminal.listed(dataset.classes[label] for label in worst)
    terminal.warn(f"most training images of class {names} are of one color only.{mend}")


def _mean_color(images: ImageList) -> str:
    """The mean color of images, "#rrggbb", each pixel as far as it is opaque; "gray" if none is."""
    # Nearest pixels: interpolation would mix in the colors of those that are transparent.
    pixels = np.reshape(_sample(images.paths, (SIDE, SIDE), Rule("rgba", "nearest")), (-1, 4))
    if not pixels[:, 3].any():
        return "gray"
    color = np.average(pixels[:, :3], axis=0, weights=pixels[:, 3])
    return "#{:02x}{:02x}{:02x}".format(*color.round().astype(int))


def _sample(paths: list[str], size: tuple[int, int], rule: Rule) -> list[np.ndarray]:
    """The pixels of `LOOKED_AT` of the files; what can't be read, the checks will name."""
    rows = PixelStore(len(paths), paths.__getitem__, size, rule, "off").rows(_spaced(len(paths)))
    return [row for row in rows if not isinstance(row, ImageError)]


def _white_level(images: ImageList) -> int:
    highest = 0
    for position in _spaced(len(images)):
        path = images.path(position)
        # The checks will name what can't be read, with the reason.
        with contextlib.suppress(ImageError), opened(path) as (image, extra):
            values = sixteen_bits(image, path, extra)
            highest = max(highest, 0 if values is None else int(values.max()))
    level = next(level for level in LEVELS if highest <= level) if highest else FULL
    if level < FULL:
        told = f"16-bit images use levels up to {highest:,}: {level:,} becomes white"
        terminal.status(f"{told} (--white-level)")
    return level


def _spaced(count: int) -> np.ndarray:
    """Positions of `LOOKED_AT` out of so many images, evenly spaced."""
    return np.unique(np.linspace(0, count - 1, LOOKED_AT).astype(int))
