"""What the images themselves can tell about a kernel, frequency by frequency.

All spectra are power spectral densities per pixel: white noise of variance v has the spectrum v
at every frequency, whatever the image size. Half planes are laid out as `numpy.fft.rfft2` does.
"""

import numpy as np
from scipy.fft import fftfreq, irfft2, next_fast_len, rfft2, rfftfreq
from scipy.sparse.linalg import LinearOperator, eigsh

# Of a spectrum's peak, which is the mean's: some 1e4 in crops of 256x256 pixels. The floor then is
# 1e-7: less than rounding to 8 bits leaves in any image, 1e-6, and more than float32's, 1e-15.
FLOOR = 1e-11


def hann_taper(height, width, margin=0):
    """A two-dimensional Hann window that is zero on the outermost `margin` pixels.

    Without a taper the jump between opposite edges of an image leaks power from the low
    frequencies over all others (Harris 1978).

    Args:
        height: pixels.
        width: pixels.
        margin: pixels on each side that the taper hides.

    Returns:
        float64 (height, width), range 0..1.

    References:
        F. J. Harris, "On the use of windows for harmonic analysis with the discrete Fourier
        transform", Proceedings of the IEEE 66 (1978).
    """

    def profile(side):
        inner = side - 2 * margin
        # Half a pixel in, so that no pixel inside the margin is wasted on a zero.
        window = np.sin(np.pi * (np.arange(inner) + 0.5) / inner) ** 2
        return np.pad(window, margin)

    return np.outer(profile(height), profile(width))


def half_plane_counts(width):
    """How often each column of a half plane stands in the full plane: 1 at zero and Nyquist."""
    counts = np.full(width // 2 + 1, 2.0)
    counts[0] = 1
    if width % 2 == 0:
        counts[-1] = 1
    return counts


def frequency_radius(height, width):
    """Radial frequency in cycles per pixel of each entry of a half plane."""
    return np.hypot(fftfreq(height)[:, None], rfftfreq(width)[None, :])


def ring_means(values, radius):
    """Average values over rings of width 1.

    Args:
        values: float array of any shape.
        radius: of each value, the same shape, >= 0; ring i holds those that are rounded to i.

    Returns:
        float64 (rings,).
    """
    ring = np.rint(radius).astype(int).ravel()
    return np.bincount(ring, values.ravel()) / np.bincount(ring)


def frame_shape(half_plane):
    """The size (height, width) of the images, of even width, that a half plane is of."""
    return half_plane.shape[0], 2 * (half_plane.shape[1] - 1)


def frequency_rings(half_plane):
    """Average a half plane over rings of frequency: ring i is that of i / height cycles/pixel."""
    height, width = frame_shape(half_plane)
    return ring_means(half_plane, frequency_radius(height, width) * height)


def power_spectrum(images, kernel_size=1, margin=0, seed=0):
    """Measures the mean power spectrum of images as a filter of a given size sees them.

    Each pixel of a zero-padded filter sees the image shifted, with the frame's edge moved into
    the image. Under the taper of the loss this edge is often the strongest signal there is at
    high frequencies, so the spectrum is averaged over random shifts within the filter.

    Args:
        images: float (n, height, width).
        kernel_size: pixels per side of the filter; 1 for the images' own spectrum.
        margin: as for `hann_taper`.
        seed: of the shifts.

    Returns:
        float64 (height, width // 2 + 1).
    """
    height, width = images.shape[1:]
    taper = hann_taper(height, width, margin)
    half = kernel_size // 2
    shifts = np.random.default_rng(seed).integers(0, 2 * half + 1, (len(images), 2))
    power = np.zeros((height, width // 2 + 1))
    for image, (down, right) in zip(images, shifts, strict=True):
        shifted = np.pad(image, half)[down : down + height, right : right + width]
        power += np.abs(rfft2(shifted * taper)) ** 2
    return power / len(images) / np.sum(taper**2)


def roughness(height, width):
    """The power response of the third difference, the quantity a smooth kernel has little of.

    Of first, second and third differences, the third had the lowest held-out error in seven of
    eight trials (Gaussian, disk and motion kernels; 8 bits or 1 % noise), the eighth a tie.

    Returns:
        float64 (height, width // 2 + 1): (4 sin^2(pi u) + 4 sin^2(pi v))^3, 0 at zero frequency.
    """
    vertical = 4 * np.sin(np.pi * fftfreq(height)) ** 2
    horizontal = 4 * np.sin(np.pi * rfftfreq(width)) ** 2
    return (vertical[:, None] + horizontal[None, :]) ** 3


def largest_curvature(images, kernel_size, whitening, margin=0):
    """The largest eigenvalue of the Hessian of `WhitenedResidual` with respect to the filter.

    Gradient descent diverges above a step of 2 over this number; it depends on the images alone,
    not on the true kernel.

    Args:
        images: float (n, height, width).
        kernel_size: pixels per side of the filter.
        whitening: float (height, width // 2 + 1), as for the loss.
        margin: as for the loss.

    Returns:
        float, to about a tenth.
    """
    count, height, width = images.shape
    taper = hann_taper(height, width, margin).astype("float32")
    whitening = whitening.astype("float32")
    lengths = [next_fast_len(side + kernel_size - 1, real=True) for side in (height, width)]
    start = (kernel_size - 1) // 2
    rows, columns = slice(start, start + height), slice(start, start + width)
    spectra = rfft2(images.astype("float32"), lengths)

    def hessian_times(kernel):
        kernel = kernel.astype("float32").reshape(kernel_size, kernel_size)
        blurred = irfft2(spectra * rfft2(kernel, lengths), lengths)[:, rows, columns]
        residual = irfft2(rfft2(blurred * taper) / whitening, (height, width)) * taper
        framed = np.zeros((count, *lengths), "float32")
        framed[:, rows, columns] = residual
        correlated = irfft2((rfft2(framed) * spectra.conj()).mean(axis=0), lengths)
        return 2 / np.sum(taper**2) * correlated[:kernel_size, :kernel_size].ravel()

    hessian = LinearOperator((kernel_size**2,) * 2, matvec=hessian_times, dtype=float)
    first = np.random.default_rng(0).standard_normal(kernel_size**2)
    largest = eigsh(hessian, k=1, v0=first, tol=0.1, ncv=5, return_eigenvectors=False)
    return float(largest[0])


def batch_curvature(images, batch_size, kernel_size, whitening, margin=0):
    """The curvature that descent on one batch after another has to be prepared for.

    An image that is strong where most are weak, by fine wood grain in a corner, say, can be dozens
    of times as steep as the mean of all, and a small batch that it is in nearly so. What all pairs
    agree on is learned at a step of one over this number, whatever the batches draw.

    Args:
        images: float (n, height, width); all that can be had, for the sake of rare steep ones.
        batch_size: images in a batch.
        kernel_size: pixels per side of the filter.
        whitening: as for `largest_curvature`.
        margin: as for `largest_curvature`.

    Returns:
        float: between the largest curvature of the images' mean and that of the steepest image.

    References:
        S. Ma, R. Bassily, M. Belkin, "The power of interpolation: understanding the effectiveness
        of SGD in modern over-parametrized learning", ICML 2018, section 3.
    """

    def curvature(images):
        return largest_curvature(images, kernel_size, whitening, margin)

    mean, steepest = curvature(images[:16]), max(curvature(image[None]) for image in images)
    return mean + (steepest - mean) / batch_size


def standard_error(power, noise_variance, pixels, kernel_size):
    """The Cramer-Rao bound of the OTF: how far off it is at best, without any prior.

    Args:
        power: float, any shape: power spectrum of the sharp images.
        noise_variance: variance of the blurred images' white noise (1/12 of a squared step for
            rounding).
        pixels: independent pixels seen; pixels whose noise repeats count once.
        kernel_size: pixels per side of the filter. A larger one has more unknowns, which let in
            more noise.

    Returns:
        float, the shape of `power`: standard error of the complex OTF at each frequency, in units
        of a DC gain of 1.
    """
    smallest = np.finfo(float).tiny
    return np.sqrt(kernel_size**2 * noise_variance / (pixels * np.maximum(power, smallest)))


def identifiable_band(power, noise_variance, pixels, kernel, tolerance=0.01):
    """The frequencies at which these images determine the OTF.

    Args:
        power: float (height, width // 2 + 1): power spectrum of the sharp images, of even width.
        noise_variance: as for `standard_error`.
        pixels: as for `standard_error`.
        kernel: float (size, size), the learned filter. Its norm is, by Parseval, the root mean
            square of its OTF, which the standard error is measured against.
        tolerance: largest standard error that counts as determined, as a share of that. Inside
            the band an efficient estimate has at most this relative error.

    Returns:
        band: bool (height, width // 2 + 1).
        limit: cycles per pixel up to which every ring of frequencies is inside the band on
            average; 0.5 * sqrt(2), the corner of the plane, if all are.
    """
    largest_error = tolerance * np.linalg.norm(kernel)

    def determined(power):
        error = standard_error(power, noise_variance, pixels, kernel.shape[0])
        return error <= largest_error

    beyond = np.flatnonzero(~determined(frequency_rings(power)))
    limit = beyond[0] / len(power) if len(beyond) else np.sqrt(0.5)
    return determined(power), float(limit)
