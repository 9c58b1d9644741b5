"""Augmentation, a row each: its option, how it is drawn, and what it does to an image.

A row is all that an augmentation takes: the option of `train.py` with its help and range, the
argument of `ImageDataGenerator`, and the effect follow. Rows are drawn in the order of the table,
on or off, so that turning one on, or adding one at the end, leaves the others as they were. What
optional packages add (`ROWS` in `foldernet.rooms`) comes after those of this file.
"""

import dataclasses
import numbers
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

import numpy as np
import tyro

from foldernet.option_types import BaseOptions, Range


@dataclasses.dataclass(frozen=True)
class Row:
    """An augmentation.

    Attributes:
        name: of the option, and of ImageDataGenerator's argument and attribute.
        type: of the option.
        default: of the option.
        off: the attribute of a generator that doesn't augment so.
        range: of the option.
        help: of the option, a noun phrase or imperative.
        draw: (value, count, (height, width), random) -> name -> (count,), the parameters of `count`
            images. By default nothing, as `mix` draws for itself, once the batch is complete.
        effects: name of a parameter -> (pixels, parameter) -> pixels, float32 (n, height, width,
            channels) in 0..255, with the parameter (n, 1, 1, 1). Parameters that neither this nor
            the next two name are of `foldernet.batches.augmentation.matrices`.
        maps: name of a parameter -> (maps, parameter, (height, width)) -> maps, the affine maps
            (n, 2, 3) as `matrices` makes them: what moves pixels is part of the one warp.
        in_place: name of a parameter -> (images, parameter), which changes warped images, (n,
            height, width, channels) uint8 or float32 in 0..255, before the effects do. Several
            threads may be in it, each with images of its own.
        mix: (generator, batch, random) -> batch, (images, targets) and perhaps weights of a whole
            batch; rows that share a function are mixed by it once.
    """

    name: str
    type: Any
    default: Any
    off: Any
    range: Range
    help: str
    draw: Callable[..., dict[str, Any]] = lambda *_: {}
    effects: dict[str, Callable[..., Any]] = dataclasses.field(default_factory=dict)
    maps: dict[str, Callable[..., Any]] = dataclasses.field(default_factory=dict)
    in_place: dict[str, Callable[..., None]] = dataclasses.field(default_factory=dict)
    mix: Callable[..., tuple] | None = None


def symmetric(parameter: str) -> Callable:
    """Draws uniformly between minus and plus the option's value."""
    return lambda value, count, shape, random: {parameter: random.uniform(-1, 1, count) * value}


def coin(parameter: str) -> Callable:
    """Draws True half of the time, if the option is on."""
    return lambda value, count, shape, random: {parameter: random.random(count) < 0.5 * bool(value)}


def shift(parameter: str, axis: int) -> Callable:
    """Draws pixels: of a share (below 1) of the side, up to so many pixels, or one of a list."""

    def draw(value, count, shape, random):
        if isinstance(value, numbers.Real) and not isinstance(value, numbers.Integral):
            drawn = random.uniform(-1, 1, count) * value
        else:
            values = value if np.ndim(value) else value or 1
            drawn = random.choice(values, count) * random.choice([-1, 1], count)
        return {parameter: drawn * shape[axis] if np.max(value) < 1 else drawn}

    return draw


def zoom(value, count, shape, random):
    """Draws a factor for each axis."""
    zx, zy = random.uniform(*value, (2, count))
    return {"zx": zx, "zy": zy}


def shift_channels(pixels, amount):
    """Adds gray levels, within the range that the image has."""
    axes = (1, 2, 3)
    low, high = pixels.min(axes, keepdims=True), pixels.max(axes, keepdims=True)
    return (pixels + amount).clip(low, high)


ROWS = [
    Row("rotation_range", float, 8.0, 0, Range(0, 180),
        "Maximum rotation in degrees.", symmetric("theta")),
    Row("shear_range", float, 8.0, 0, Range(0, 60),
        "Maximum shear in degrees.", symmetric("shear")),
    Row("channel_shift_range", float, 0.0, 0, Range(0, 255),
        "Maximum gray levels added to or taken from an image.",
        symmetric("channel_shift_intensity"), {"channel_shift_intensity": shift_channels}),
    Row("width_shift_range", float, 0.05, 0, Range(0),
        "Maximum horizontal shift, as a share of the width.", shift("tx", axis=1)),
    Row("height_shift_range", float, 0.05, 0, Range(0),
        "Maximum vertical shift, as a share of the height.", shift("ty", axis=0)),
    Row("zoom_range", float, 0.1, [1, 1], Range(0, 0.9),
        "Maximum change of each side's scale: 0.1 is 0.9 to 1.1.", zoom),
    Row("horizontal_flip", bool, True, False, Range(),
        "Mirror half of the images left to right. Turn it off where left and right differ, as in"
        " writing.", coin("flip_horizontal")),
    Row("vertical_flip", bool, False, False, Range(),
        "Mirror half of the images top to bottom, as suits aerial images.",
        coin("flip_vertical")),
]  # fmt: skip


def options_of(rows: Sequence[Row]) -> type[BaseOptions]:
    """A class with an option for each row."""
    kinds, defaults = {}, {row.name: row.default for row in rows}
    for row in rows:
        about = tyro.conf.arg(help=row.help, help_behavior_hint="" if row.default is None else None)
        kinds[row.name] = Annotated[row.type, row.range, about]
    return type("Rows", (BaseOptions,), {"__annotations__": kinds} | defaults)


class AugmentationOptions(options_of(ROWS)):
    """Augmentation of the training images, drawn anew for each image in each epoch. Validation
    images are never changed."""

    fill_mode: Literal["nearest", "reflect", "wrap", "constant"] = "nearest"
    """What fills the area beyond the border."""

    def augmentation(self) -> dict[str, Any]:
        """The arguments of `ImageDataGenerator`."""
        names = {"fill_mode", *(row.name for row in ROWS)}
        return {name: value for name, value in vars(self).items() if name in names}
