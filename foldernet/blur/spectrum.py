"""What the images themselves can tell about a kernel, frequency by frequency.

All spectra are power spectral densities per pixel: white noise of variance v has the spectrum v
at every frequency, whatever the image size. Half planes, (side, side // 2 + 1), are laid out as
`numpy.fft.rfft2` does, of square images.
"""

import numpy as np
from scipy.fft import fftfreq, irfft2, next_fast_len, rfft2, rfftfreq
from scipy.signal.windows import cosine
from scipy.sparse.linalg import LinearOperator, eigsh

# Of a spectrum's peak, which is the mean's: some 1e4 in crops of 256x256 pixels. The floor then is
# 1e-7: less than rounding to 8 bits leaves in any image, 1e-6, and more than float32's, 1e-15.
FLOOR = 1e-11
# Of a blurred image in float32, for a range of 1: what is never determined better than that.
ROUNDING_VARIANCE = 1e-15
TOLERANCE = 0.01  # largest standard error of an OTF that counts as determined, as a share of it


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

    # SciPy's `hann` is zero at its ends; this one begins half a pixel in and wastes none on that.
    down, across = (np.pad(cosine(side - 2 * margin) ** 2, margin) for side in (height, width))
    return np.outer(down, across)


def half_plane_counts(side):
    """How often each column of a half plane stands in the full plane: 1 at zero and Nyquist."""
    return np.where(np.isin(rfftfreq(side), (0, 0.5)), 1.0, 2.0)


def frequency_rings(half_plane):
    """Average a half plane over rings of frequency: ring i is that of i / side cycles/pixel."""
    side = len(half_plane)
    radius = side * np.hypot(fftfreq(side)[:, None], rfftfreq(side))
    ring = np.rint(radius).astype(int).ravel()
    return np.bincount(ring, half_plane.ravel()) / np.bincount(ring)


def power_spectrum(images, kernel_size=1, margin=0):
    """Measures the mean power spectrum of images as a filter of a given size sees them.

    Each pixel of a zero-padded filter sees the image shifted, with the frame's edge moved into
    the image. Under the taper of the loss this edge is often the strongest signal there is at
    high frequencies, so the spectrum is averaged over random shifts within the filter.

    Args:
        images: float (n, side, side).
        kernel_size: pixels per side of the filter; 1 for the images' own spectrum.
        margin: as for `hann_taper`.

    Returns:
        float64 (side, side // 2 + 1).
    """
    side = images.shape[1]
    taper = hann_taper(side, side, margin)
    half = kernel_size // 2
    shifts = np.random.default_rng(0).integers(0, 2 * half + 1, (len(images), 2))
    power = np.zeros((side, side // 2 + 1))
    for image, (down, right) in zip(images, shifts, strict=True):
        shifted = np.pad(image, half)[down : down + side, right : right + side]
        power += np.abs(rfft2(shifted * taper)) ** 2
    return power / len(images) / np.sum(taper**2)


def at_lags(spectrum, lengths, largest):
    """The correlation of which this is the half plane, at lags -largest..largest on both axes."""
    lags = np.arange(-largest, largest + 1)
    return irfft2(spectrum, lengths)[np.ix_(lags, lags)]


def otf(kernel, side):
    """Optical transfer function of a kernel, its center at the origin: `at_lags` inverts it.

    Args:
        kernel: float (size, size), odd, size at most `side`.
        side: samples of each frequency, before halving.

    Returns:
        complex (side, side // 2 + 1), as precise as the kernel.
    """
    framed = np.pad(kernel, (0, side - len(kernel)))
    return rfft2(np.roll(framed, -(len(kernel) // 2), axis=(0, 1)))


def roughness(side):
    """The power response of the third difference, the quantity a smooth kernel has little of.

    Of first, second and third differences, the third had the lowest held-out error in seven of
    eight trials (Gaussian, disk and motion kernels; 8 bits or 1 % noise), the eighth a tie.

    Returns:
        float64 (side, side // 2 + 1): (4 sin^2(pi u) + 4 sin^2(pi v))^3, 0 at zero frequency.
    """
    vertical, horizontal = fftfreq(side)[:, None], rfftfreq(side)
    return (4 * np.sin(np.pi * vertical) ** 2 + 4 * np.sin(np.pi * horizontal) ** 2) ** 3


def largest_curvature(images, kernel_size, whitening, margin=0):
    """The largest eigenvalue of the Hessian of `whitened_residual` with respect to the filter.

    Gradient descent diverges above a step of 2 over this number; it depends on the images alone,
    not on the true kernel.

    Args:
        images: float (n, side, side).
        kernel_size: pixels per side of the filter, odd.
        whitening: float (side, side // 2 + 1), as for the loss.
        margin: as for the loss.

    Returns:
        float, to about a tenth.
    """
    side, half = images.shape[1], kernel_size // 2
    taper = hann_taper(side, side, margin).astype("float32")
    whitening = whitening.astype("float32")
    length = next_fast_len(side + 2 * half, real=True)
    lengths = length, length
    spectra = rfft2(images.astype("float32"), lengths)

    def hessian_times(kernel):
        kernel = kernel.astype("float32").reshape(kernel_size, kernel_size)
        blurred = irfft2(spectra * otf(kernel, length), lengths)[:, :side, :side]
        residual = irfft2(rfft2(blurred * taper) / whitening, (side, side)) * taper
        correlation = (rfft2(residual, lengths) * spectra.conj()).mean(axis=0)
        return 2 / np.sum(taper**2) * at_lags(correlation, lengths, half).ravel()

    hessian = LinearOperator((kernel_size**2,) * 2, matvec=hessian_times, dtype=float)
    first = np.random.default_rng(0).standard_normal(kernel_size**2)
    return float(eigsh(hessian, k=1, v0=first, tol=0.1, ncv=5, return_eigenvectors=False)[0])


def batch_curvature(images, batch_size, kernel_size, whitening, margin=0):
    """The curvature that descent on one batch after another has to be prepared for.

    An image that is strong where most are weak, by fine wood grain in a corner, say, can be dozens
    of times as steep as the mean of all, and a small batch that it is in nearly so. What all pairs
    agree on is learned at a step of one over this number, whatever the batches draw.

    Args:
        images: float (n, side, side); all that can be had, for the sake of rare steep ones.
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
    loss = kernel_size, whitening, margin
    mean = largest_curvature(images[:16], *loss)
    steepest = max(largest_curvature(image[None], *loss) for image in images)
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


def identifiable_band(power, noise_variance, pixels, kernel):
    """The frequencies at which these images determine the OTF.

    Args:
        power: float (side, side // 2 + 1): power spectrum of the sharp images.
        noise_variance: as for `standard_error`.
        pixels: as for `standard_error`.
        kernel: float (size, size), the learned filter. Its norm is, by Parseval, the root mean
            square of its OTF, which the standard error is measured against: inside the band an
            efficient estimate has at most `TOLERANCE` as its relative error.

    Returns:
        band: bool (side, side // 2 + 1).
        limit: cycles per pixel up to which every ring of frequencies is inside the band on
            average; 0.5 * sqrt(2), the corner of the plane, if all are.
    """
    # Where the power is this, `standard_error` is as large as it may be.
    least = kernel.size * noise_variance / pixels / (TOLERANCE * np.linalg.norm(kernel)) ** 2
    beyond = np.flatnonzero(frequency_rings(power) < least)
    limit = beyond[0] / len(power) if len(beyond) else np.sqrt(0.5)
    return power >= least, float(limit)
