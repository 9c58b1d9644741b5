"""The kernel without training: one pass over the pairs, then one linear system, in float64."""

from typing import NamedTuple

import numpy as np
from scipy.fft import irfft2, next_fast_len, rfft2
from scipy.signal.windows import bartlett
from scipy.sparse.linalg import LinearOperator, gmres

from foldernet.blur.kernels import blur
from foldernet.blur.spectrum import FLOOR, ROUNDING_VARIANCE, at_lags, hann_taper, otf, roughness
from foldernet.terminal import UserError

# Fewer pixels per side than this in the window leave too few equations to be worth solving.
SMALLEST_WINDOW = 32
# Strengths of the prior tried, as shares of the images' mean power; then around the best.
STRENGTHS = 10.0 ** np.arange(-9, 2)
REFINEMENT = 10.0 ** np.array([-2 / 3, -1 / 3, 1 / 3, 2 / 3])


class KernelEstimate(NamedTuple):
    """What `estimate_kernel` found."""

    strength: float  # of the smoothness prior, in squared units of the images; 0 without
    holdout_mse: float | None  # on the held-out pairs; with the right strength, the noise
    kernel: np.ndarray  # float64 (kernel_size, kernel_size)
    converged: bool  # whether the solver reached its tolerance


def estimate_kernel(pairs, kernel_size=65, held_out=None, zero_padded=True):
    """Estimates the kernel that turns sharp images into blurred ones, by linear regression.

    The regression's own normal equations aren't Toeplitz, because the frame cuts off the blurred
    image. Multiplied instead by a copy of the sharp image under a window so far inside that no
    shift within the filter leaves the frame (an instrumental variable), they are, exactly: two
    correlations, summed over all pairs, are all that has to be kept.

    Args:
        pairs: iterable of (sharp, blurred), each float (height, width) or (n, height, width)
            with or without a last axis of one channel; all of one image size. Read once; of a
            `BlurIterator`, best in float64, one epoch is.
        kernel_size: pixels per side, odd, no smaller than the true kernel.
        held_out: (sharp, blurred), each (n, height, width[, 1]), for choosing the strength of a
            smoothness prior (third differences), unless these are explained exactly without. None
            for no prior, right for exact data only.
        zero_padded: whether the sharp images are zero outside their frame, as here in all made
            pairs. False for a camera's pairs, where nobody knows what was outside; it costs
            another half filter of pixels on each side.

    Returns:
        A `KernelEstimate`. Look at `converged`.

    Raises:
        UserError: for pairs that don't match, aren't finite or are constant, an even
            `kernel_size`, or one too large for the images.

    References:
        P. C. Hansen, J. G. Nagy, D. P. O'Leary, "Deblurring Images" (SIAM 2006), chapters 4, 6.
        R. H. Chan, M. K. Ng, "Conjugate gradient methods for Toeplitz systems", SIAM Review 38
        (1996), for the circulant preconditioner.
    """
    if kernel_size % 2 == 0:
        raise UserError(f"kernel_size is {kernel_size}; give an odd one, which has a center.")
    auto, cross = _correlations(pairs, kernel_size, zero_padded)
    if held_out is None:
        return KernelEstimate(0.0, None, *_solve(auto, cross, tolerance=1e-13))

    sharp, blurred = _checked(*held_out)
    margin = 0 if zero_padded else kernel_size // 2
    inside = (..., *(slice(margin, side - margin) for side in sharp.shape[1:]))
    period = next_fast_len(4 * kernel_size, real=True)
    penalty = at_lags(roughness(period), (period, period), kernel_size - 1)

    def attempt(strength):
        # Without a prior the last digits count; with one, its bias is far above 1e-9.
        tolerance = 1e-9 if strength else 1e-13
        kernel, converged = _solve(auto + strength * penalty, cross, tolerance)
        mse = np.mean((blur(sharp, kernel) - blurred)[inside] ** 2)
        return KernelEstimate(float(strength), float(mse), kernel, converged)

    bare = attempt(0.0)
    if bare.converged and bare.holdout_mse < ROUNDING_VARIANCE:
        return bare
    tried = [bare, *map(attempt, STRENGTHS * auto[kernel_size - 1, kernel_size - 1])]
    best = min(tried, key=lambda estimate: estimate.holdout_mse)
    tried = [best, *map(attempt, best.strength * REFINEMENT if best.strength else ())]
    return min(tried, key=lambda estimate: estimate.holdout_mse)


def _checked(sharp, blurred):
    """One pair of batches as float64 (2, n, height, width), or the reason why it isn't one."""
    if np.shape(sharp) != np.shape(blurred):
        raise UserError("Both images of a pair must have the same size.")
    pair = np.array([sharp, blurred], float)
    if not np.isfinite(pair).all():
        raise UserError("An image of a pair holds NaN or infinity. Remove or repair it.")
    pair = pair[..., 0] if pair.ndim == 5 else pair
    return pair if pair.ndim == 4 else pair[:, None]


def _correlations(pairs, kernel_size, zero_padded):
    """Sums the windowed images' correlations with the images themselves and the blurred ones.

    Returns:
        auto: float64 (2 * kernel_size - 1,) * 2, lags -(kernel_size - 1) to kernel_size - 1.
        cross: float64 (kernel_size, kernel_size).
        Both per pixel of the window.
    """
    half = kernel_size // 2
    shape, pixels, varied = None, 0.0, False
    if hasattr(pairs, "__len__"):  # a Keras iterator has a length, and yet never ends
        pairs = map(pairs.__getitem__, range(len(pairs)))
    for sharp, blurred in pairs:
        sharp, blurred = _checked(sharp, blurred)
        if shape is None:
            shape = sharp.shape[1:]
            largest = largest_size(min(shape), SMALLEST_WINDOW, zero_padded)
            if kernel_size > largest:
                raise UserError(
                    f"A filter of {kernel_size} pixels per side is too large for these images. Use"
                    f" one of at most {largest}."
                )
            window = hann_taper(*shape, half if zero_padded else 2 * half)
            lengths = [next_fast_len(side + 2 * half, real=True) for side in shape]
            auto, cross = np.zeros((2, lengths[0], lengths[1] // 2 + 1), complex)
        for image, seen in zip(sharp, blurred, strict=True):
            windowed = rfft2(image * window, lengths).conj()
            auto += windowed * rfft2(image, lengths)
            cross += windowed * rfft2(seen, lengths)
        pixels += len(sharp) * window.sum()
        varied |= np.ptp(sharp, axis=(1, 2)).any()
    if not varied:
        raise UserError("There are no pairs, or all images are constant. Give photographs.")
    return at_lags(auto, lengths, 2 * half) / pixels, at_lags(cross, lengths, half) / pixels


def largest_size(image_size, window, zero_padded):
    """The largest odd `kernel_size` that leaves `estimate_kernel` a window of so many pixels."""
    room = max(0, image_size - window)  # for half a filter on each side, or a whole one
    return (room if zero_padded else room // 2) | 1


def _solve(auto, cross, tolerance):
    """Solves the block Toeplitz system auto * kernel = cross with preconditioned GMRES."""
    size = len(cross)
    side = next_fast_len(2 * size - 1, real=True)  # of a circulant system around it

    def operator(spectrum):
        def product(kernel):
            padded = rfft2(kernel.reshape(size, size), (side, side))
            return irfft2(spectrum * padded, (side, side))[:size, :size].ravel()

        return LinearOperator((size * size,) * 2, matvec=product, dtype=float)

    # A triangle over the lags keeps the preconditioner's spectrum nearly positive.
    triangle = bartlett(2 * size + 1)[1:-1]
    spectrum = otf(auto * np.outer(triangle, triangle), side).real
    inverse = operator(1 / np.maximum(spectrum, FLOOR * spectrum.max()))
    system = operator(otf(auto, side)), cross.ravel()
    # With a restart after 100 steps, the largest kernels stall.
    solution, flag = gmres(*system, M=inverse, rtol=tolerance, restart=200, maxiter=3)
    return solution.reshape(size, size), flag == 0
