"""Augmentation of a whole batch at once: parameters drawn for all images, one warp an image.

The distributions are those of Keras's ImageDataGenerator. Its affine matrix is composed in
(x, y) coordinates and centered, which OpenCV takes as it is; unlike there, the center is right for
images that are not square, and `width_shift_range` moves along the width.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from foldernet.augmentations import ROWS
from foldernet.images import threads

# Images are small and many: whole ones are shared out to our threads, and OpenCV's own, which would
# share out the rows of each, only get in their way.
cv2.setNumThreads(1)

BORDERS = {"nearest": cv2.BORDER_REPLICATE, "reflect": cv2.BORDER_REFLECT}
BORDERS |= {"wrap": cv2.BORDER_WRAP, "constant": cv2.BORDER_CONSTANT}
UNCHANGED = {"theta": 0, "tx": 0, "ty": 0, "shear": 0, "zx": 1, "zy": 1}
UNCHANGED |= {"flip_horizontal": False, "flip_vertical": False}
INTERPOLATION_ORDERS = {0: cv2.INTER_NEAREST, 1: cv2.INTER_LINEAR}  # more than that: cubic
SHARED_BYTES = 2**17  # a smaller batch is warped sooner than it is shared out to threads
CHANNELS_AT_ONCE = 4  # OpenCV warps no more in one call


def is_on(generator) -> bool:
    """Whether a generator changes single images at all."""
    return any(_is_on(generator, row) for row in ROWS if not row.mix)


def _is_on(generator, row) -> bool:
    return not np.array_equal(getattr(generator, row.name), row.off)


def draw(generator, count: int, shape: tuple[int, int], random: np.random.Generator) -> dict:
    """Draw the transformations of `count` images.

    Args:
        generator: carries the ranges, under the names of `ROWS`.
        shape: (height, width) of the images in pixels.
        random: where the numbers come from, in the order of `ROWS`.

    Returns:
        Name -> (count,) parameters, under Keras's names: theta and shear in degrees; tx and ty in
        pixels, along x and y; zx and zy as factors; flip_horizontal and flip_vertical; and those of
        the other rows, or None where they are off.
    """
    drawn = {}
    for row in ROWS:
        parameters = row.draw(getattr(generator, row.name), count, shape, random)
        needed = parameters.keys() <= UNCHANGED.keys() or _is_on(generator, row)
        drawn |= parameters if needed else dict.fromkeys(parameters)
    return drawn


def matrices(transform: dict, count: int, shape: tuple[int, int]) -> np.ndarray:
    """Affine maps from output to input pixels, in (x, y) about the center: (count, 2, 3) float64.

    In Keras's order, rotation, shift, shear, zoom; then the flips, which there follow the warp.
    """
    height, width = shape
    theta, shear = np.deg2rad(transform["theta"]), np.deg2rad(transform["shear"])
    across = np.where(transform["flip_horizontal"], -1.0, 1.0) * transform["zx"]
    down = np.where(transform["flip_vertical"], -1.0, 1.0) * transform["zy"]
    cos, sin = np.cos(theta), np.sin(theta)
    linear = np.empty((count, 2, 2))
    linear[:, 0, 0], linear[:, 1, 0] = cos * across, sin * across
    linear[:, 0, 1] = (-cos * np.sin(shear) - sin * np.cos(shear)) * down
    linear[:, 1, 1] = (-sin * np.sin(shear) + cos * np.cos(shear)) * down
    center = np.array([(width - 1) / 2, (height - 1) / 2])
    tx, ty = transform["tx"], transform["ty"]
    offset = np.stack(np.broadcast_arrays(cos * tx - sin * ty, sin * tx + cos * ty), axis=-1)
    offset = offset + center - linear @ center
    return np.concatenate([linear, offset[:, :, None]], axis=2)


def apply(generator, images: Sequence[np.ndarray], drawn: dict, dtype: np.dtype) -> np.ndarray:
    """Transform a batch, into one array.

    Args:
        generator: says what lies beyond the border, and how the warp interpolates.
        images: n of (height, width, channels) in 0..255; left alone.
        drawn: as `draw` returns it; what is missing changes nothing.
        dtype: in which images are warped: 8 bits if it has 8, else float32.

    Returns:
        (n, height, width, channels) of np.uint8 or np.float32.
    """
    height, width, channels = images[0].shape
    dtype = np.uint8 if np.dtype(dtype) == np.uint8 else np.float32
    out = np.empty((len(images), height, width, channels), dtype)
    flags = INTERPOLATION_ORDERS.get(generator.interpolation_order, cv2.INTER_CUBIC)
    fill = (generator.cval,) * CHANNELS_AT_ONCE
    how = (width, height), flags | cv2.WARP_INVERSE_MAP, BORDERS[generator.fill_mode], fill
    maps = matrices(UNCHANGED | drawn, len(images), (height, width))
    for name, effect in _named("maps", drawn).items():
        maps = effect(maps, drawn[name], (height, width))
    in_place, effects = _named("in_place", drawn), _named("effects", drawn)

    def make(part):
        _warp(images[part], maps[part], out[part], *how)
        for name, effect in in_place.items():
            effect(out[part], drawn[name][part])
        if effects:
            values = out[part].astype(np.float32)
            for name, effect in effects.items():
                values = effect(values, np.asarray(drawn[name])[part, None, None, None])
            out[part] = np.rint(values) if dtype == np.uint8 else values

    share = len(images) if out.nbytes < SHARED_BYTES else -(-len(images) // threads.THREADS)
    list(threads.map(make, [slice(at, at + share) for at in range(0, len(images), share)]))
    return out


def mix(generator, batch: tuple, random: np.random.Generator) -> tuple:
    """Mix the images of a batch with each other, and their targets likewise, by the rows that do.

    Args:
        generator: carries the options, under the names of `ROWS`.
        batch: (images, targets), or with weights.
    """
    for function in dict.fromkeys(row.mix for row in ROWS if row.mix and _is_on(generator, row)):
        batch = function(generator, batch, random)
    return batch


def _named(kind: str, drawn: dict) -> dict:
    """Name -> function of that kind, of the parameters that were drawn."""
    functions = (item for row in ROWS for item in getattr(row, kind).items())
    return {name: function for name, function in functions if drawn.get(name) is not None}


def _warp(images, maps, out, size, flags, border, fill) -> None:
    """Warp each image by its own map, into `out`."""
    for image, affine, warped in zip(images, maps, out, strict=True):
        pixels = image.astype(out.dtype, copy=False)
        if pixels.shape[2] <= CHANNELS_AT_ONCE:
            cv2.warpAffine(pixels, affine, size, warped, flags, border, fill)
        else:
            parts = np.split(pixels, range(CHANNELS_AT_ONCE, pixels.shape[2], CHANNELS_AT_ONCE), 2)
            how = size, None, flags, border, fill
            parts = [cv2.warpAffine(np.ascontiguousarray(part), affine, *how) for part in parts]
            warped[:] = np.dstack(parts)
