"""Augmentation: random transformations drawn for a whole batch at once, one warp an image.

The distributions are those of Keras's ImageDataGenerator. Its affine matrix is composed in
(x, y) coordinates and centred, which OpenCV takes as it is; unlike there, the centre is right for
images that are not square, and `width_shift_range` moves along the width.
"""

import numbers
from collections.abc import Sequence

import cv2
import numpy as np

from foldernet.data import THREADS, threads

# Images are small and many: whole ones are shared out to our threads, and OpenCV's own, which would
# share out the rows of each, only get in their way.
cv2.setNumThreads(1)

BORDERS = {
    "nearest": cv2.BORDER_REPLICATE,
    "reflect": cv2.BORDER_REFLECT,
    "wrap": cv2.BORDER_WRAP,
    "constant": cv2.BORDER_CONSTANT,
}
SHARED_BYTES = 2**17  # a smaller batch is warped sooner than it is shared out to threads
CHANNELS_AT_ONCE = 4  # OpenCV warps no more in one call


def draw(generator, count: int, shape: tuple[int, int], random: np.random.Generator) -> dict:
    """Draw the transformations of `count` images.

    Args:
        generator: carries the ranges, under the names of ImageDataGenerator's arguments.
        count: number of images.
        shape: (height, width) of the images in pixels.
        random: where the numbers come from; the draws happen in a fixed order, whatever the ranges,
            so that turning one on leaves the others as they were.

    Returns:
        Arrays of length `count` under Keras's names: theta and shear in degrees; tx and ty in
        pixels, along x and y; zx and zy as factors; flip_horizontal and flip_vertical; and
        channel_shift_intensity in grey levels and brightness as a factor, or None where off.
    """
    height, width = shape
    theta, shear, channel_shift = random.uniform(-1, 1, (3, count))
    tx, ty = (
        _shifts(generator.width_shift_range, width, count, random),
        _shifts(generator.height_shift_range, height, count, random),
    )
    zx, zy = random.uniform(*generator.zoom_range, (2, count))
    flips = random.random((2, count)) < 0.5
    brightness = random.random(count)
    transform = {
        "theta": theta * generator.rotation_range,
        "tx": tx,
        "ty": ty,
        "shear": shear * generator.shear_range,
        "zx": zx,
        "zy": zy,
        "flip_horizontal": flips[0] & bool(generator.horizontal_flip),
        "flip_vertical": flips[1] & bool(generator.vertical_flip),
        "channel_shift_intensity": None,
        "brightness": None,
    }
    if generator.channel_shift_range:
        transform["channel_shift_intensity"] = channel_shift * generator.channel_shift_range
    if generator.brightness_range is not None:
        low, high = generator.brightness_range
        transform["brightness"] = low + brightness * (high - low)
    return transform


def _shifts(shift_range, side: int, count: int, random: np.random.Generator) -> np.ndarray:
    """Shifts in pixels: of a share (below 1) of `side`, up to so many pixels, or one of a list."""
    if np.ndim(shift_range) or isinstance(shift_range, numbers.Integral):
        shifts = random.choice(shift_range or 1, count) * random.choice([-1, 1], count)
    else:
        shifts = random.uniform(-1, 1, count) * shift_range
    return shifts * side if np.max(shift_range) < 1 else shifts


def matrices(transform: dict, shape: tuple[int, int]) -> np.ndarray:
    """Affine maps from output to input pixels, in (x, y) about the centre: (n, 2, 3) float64.

    In Keras's order, rotation, shift, shear, zoom; then the flips, which there follow the warp.
    """
    height, width = shape
    theta, shear = np.deg2rad(transform["theta"]), np.deg2rad(transform["shear"])
    mirror_x = np.where(transform["flip_horizontal"], -1.0, 1.0)
    mirror_y = np.where(transform["flip_vertical"], -1.0, 1.0)
    cos, sin = np.cos(theta), np.sin(theta)
    linear = np.empty((len(theta), 2, 2))
    linear[:, 0, 0] = cos
    linear[:, 1, 0] = sin
    linear[:, 0, 1] = -cos * np.sin(shear) - sin * np.cos(shear)
    linear[:, 1, 1] = -sin * np.sin(shear) + cos * np.cos(shear)
    linear[:, :, 0] *= (transform["zx"] * mirror_x)[:, None]
    linear[:, :, 1] *= (transform["zy"] * mirror_y)[:, None]
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    tx, ty = transform["tx"], transform["ty"]
    offset = np.stack([cos * tx - sin * ty, sin * tx + cos * ty], axis=-1)
    offset += centre - linear @ centre
    return np.concatenate([linear, offset[:, :, None]], axis=2)


def apply(
    images: Sequence[np.ndarray],
    transform: dict,
    dtype: type,
    fill_mode: str,
    fill_value: float,
    interpolation: int,
) -> np.ndarray:
    """Transform a batch, into one array.

    Args:
        images: n of (height, width, channels) in 0..255; left alone.
        transform: as `draw` returns it.
        dtype: np.uint8 or np.float32, in which the images are warped.
        fill_mode: what lies beyond the border, one of `BORDERS`.
        fill_value: for "constant".
        interpolation: OpenCV's, such as cv2.INTER_LINEAR.

    Returns:
        (n, height, width, channels) of that dtype.
    """
    height, width, channels = images[0].shape
    out = np.empty((len(images), height, width, channels), dtype)
    flags = interpolation | cv2.WARP_INVERSE_MAP
    fill = (fill_value,) * CHANNELS_AT_ONCE
    arguments = (width, height), flags, BORDERS[fill_mode], fill
    maps = matrices(transform, (height, width))
    share = len(images) if out.nbytes < SHARED_BYTES else -(-len(images) // THREADS)
    parts = [slice(start, start + share) for start in range(0, len(images), share)]
    for _ in threads.map(
        lambda part: _warp(images[part], maps[part], out[part], *arguments), parts
    ):
        pass
    return _intensities(out, transform["channel_shift_intensity"], transform["brightness"])


def _warp(images, maps, out, size, flags, border, fill) -> None:
    """Warp each image by its own map, into `out`."""
    channels = out.shape[3]
    if channels <= CHANNELS_AT_ONCE:
        for image, affine, warped in zip(images, maps, out, strict=True):
            pixels = image.astype(out.dtype, copy=False)
            cv2.warpAffine(pixels, affine, size, warped, flags, border, fill)
        return
    for first in range(0, channels, CHANNELS_AT_ONCE):
        part = slice(first, first + CHANNELS_AT_ONCE)
        some = [np.ascontiguousarray(image[..., part]) for image in images]
        warped = np.empty(out[..., part].shape, out.dtype)
        _warp(some, maps, warped, size, flags, border, fill)
        out[..., part] = warped


def _intensities(images, channel_shift, brightness) -> np.ndarray:
    if channel_shift is None and brightness is None:
        return images
    values = images.astype(np.float32)
    if channel_shift is not None:
        low, high = (
            values.min(axis=(1, 2, 3), keepdims=True),
            values.max(axis=(1, 2, 3), keepdims=True),
        )
        values = np.clip(values + channel_shift[:, None, None, None], low, high)
    if brightness is not None:
        values = np.clip(values * brightness[:, None, None, None], 0, 255)
    if np.issubdtype(images.dtype, np.integer):
        values = np.rint(values)
    return values.astype(images.dtype)
