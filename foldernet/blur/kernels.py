"""Known blur kernels (point spread functions), and what a camera with one makes of an image.

Kernels are square, odd-sized, centered, non-negative and of sum 1.
"""

import math
from pathlib import Path

import numpy as np
from scipy.fft import irfft2, next_fast_len, rfft2
from scipy.signal import windows

from foldernet.images.reader import ImageError, read_image
from foldernet.terminal import UserError

# Subpixels per side of a pixel, over which a sharp edge that crosses it is averaged.
SUPERSAMPLING = 32


def gaussian(sigma):
    """Samples an isotropic Gaussian.

    Args:
        sigma: standard deviation in pixels, > 0.

    Returns:
        float64 (size, size), size = 2 * ceil(4.5 * sigma) + 1: the edge is 4e-5 of the peak.
    """
    profile = windows.gaussian(2 * math.ceil(4.5 * sigma) + 1, sigma)
    return _normalized(np.outer(profile, profile))


def motion(length, angle):
    """Draws the straight, uniform track of a moving camera, one pixel wide.

    Args:
        length: length of the track in pixels, > 0.
        angle: degrees, counterclockwise from the direction of the rows.

    Returns:
        float64 (size, size), size the smallest odd one that holds the antialiased track.
    """
    across, down = math.cos(math.radians(angle)), -math.sin(math.radians(angle))

    def inside(y, x):
        along, beside = x * across + y * down, y * across - x * down
        return (abs(along) <= length / 2) & (abs(beside) <= 0.5)

    return _antialiased(inside, half=math.ceil(length / 2 + 0.5))


def disk(radius):
    """Draws the disk of a lens out of focus.

    Args:
        radius: pixels, > 0.

    Returns:
        float64 (size, size), size the smallest odd one that holds the antialiased disk.
    """
    return _antialiased(lambda y, x: x * x + y * y <= radius * radius, half=math.ceil(radius))


def from_file(path):
    """Reads a kernel from a `.npy` file or an image (read as gray), and scales its sum to 1.

    Args:
        path: the file.

    Returns:
        float64 (size, size): padded with zeros to the odd square around it, its center (index
        (height - 1) // 2, (width - 1) // 2, as in a 'same' convolution) in the middle.

    Raises:
        UserError: if the file can't be read, or isn't a finite 2-D array of positive sum.
    """
    path = Path(path)
    try:
        if path.suffix == ".npy":
            kernel = np.load(path, allow_pickle=False)
        else:
            kernel = read_image(path, color_mode="grayscale")[:, :, 0]
        if kernel.ndim != 2 or not np.isfinite(kernel).all() or kernel.sum() <= 0:
            raise ValueError("a kernel is a 2-D array of finite numbers with a positive sum")
    except (OSError, ValueError, ImageError) as error:
        raise UserError(f"No kernel can be read from '{path}' ({error}).") from error
    size = max(kernel.shape) | 1
    margins = [(size // 2 - (side - 1) // 2, size // 2 - side // 2) for side in kernel.shape]
    return _normalized(np.pad(kernel.astype(float), margins))


def centered(kernel, size):
    """Pads an odd kernel, (n, n), with zeros about its center to (size, size), odd and as large or
    larger."""
    return np.pad(kernel, (size - len(kernel)) // 2)


def blur(images, kernel):
    """Convolves images with a kernel, zero-padded, keeping the size.

    Equal to `scipy.signal.convolve2d(image, kernel, mode="same", boundary="fill")` to the last
    digits of float64, in a thousandth of the time.

    Args:
        images: float (..., height, width).
        kernel: float (size, size), odd or even.

    Returns:
        float64, the shape of `images`.
    """
    images, kernel = np.asarray(images, float), np.asarray(kernel, float)
    shape, start = images.shape[-2:], (len(kernel) - 1) // 2
    lengths = [transform_length(side, len(kernel)) for side in shape]
    inside = tuple(slice(start, start + side) for side in shape)
    transfer, blurred = rfft2(kernel, lengths), np.empty(images.shape)
    # One by one: a transformed image fits into the processor's cache, a batch of them doesn't.
    for index in np.ndindex(images.shape[:-2]):
        blurred[index] = irfft2(rfft2(images[index], lengths) * transfer, lengths)[inside]
    return blurred


def transform_length(image_side, kernel_side):
    """The shortest fast transform of which what wraps around stays out of the part that is kept."""
    return next_fast_len(max(image_side + kernel_side // 2, kernel_side), real=True)


def observe(sharp, kernel, noise=0.0, bits=0, random=None):
    """Makes of sharp images what a camera would: blurs them, adds noise, rounds.

    Args:
        sharp: float (..., height, width), range 0..1.
        kernel: float (size, size).
        noise: standard deviation of white noise as a share of the range; 0 for none.
        bits: of a camera's values (8: multiples of 1/255, clipped to 0..1); 0 doesn't round.
        random: `numpy.random.Generator` that the noise is drawn from; not used without noise.

    Returns:
        float64, the shape of `sharp`.
    """
    blurred = blur(sharp, kernel)
    if noise:
        blurred = blurred + noise * random.standard_normal(blurred.shape)
    if bits:
        levels = 2**bits - 1
        blurred = np.clip(np.round(blurred * levels), 0, levels) / levels
    return blurred


def _antialiased(inside, half):
    """Averages an indicator function of (y, x) in pixels over each pixel of an odd square."""
    size = 2 * half + 1
    axis = (np.arange(size * SUPERSAMPLING) + 0.5) / SUPERSAMPLING - size / 2
    fine = inside(axis[:, None], axis[None, :]).astype(float)
    return _normalized(fine.reshape(size, SUPERSAMPLING, size, SUPERSAMPLING).mean(axis=(1, 3)))


def _normalized(kernel):
    return kernel / kernel.sum()
