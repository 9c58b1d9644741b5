"""How the filter is trained: loss, prior and optimizer, all from the images' own spectrum."""

from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np
from keras import ops

from foldernet.blur import spectrum
from foldernet.blur.single_filter import rfft2

# Of the frequencies, and how many times as strong as the images the frame's edge is there, from
# which on it is hidden. At 97x97 it is 0.2 times as strong in photographs, 6 times in blobs.
EDGE_SHARE, EDGE_EXCESS = 0.1, 1.0
MOMENTUM = 0.9  # with Nesterov's step of 1 / curvature; 0.97 overshoots for hundreds of steps


def whitened_residual(whitening, margin=0):
    """A loss: the power of the residual, each frequency divided by the images' own power there.

    Images have a hundred million times less power at high than at low frequencies, and the mean
    squared error learns each frequency of the filter at the speed of its power. Divided by the
    spectrum, all frequencies are learned at nearly one speed. What is learned doesn't change: the
    minimum per frequency stays where it was.

    Args:
        whitening: float (side, side // 2 + 1): the power to divide by, positive: the images'
            spectrum, plus a floor, plus the prior's strength times its roughness.
        margin: pixels at the frame's edge to ignore: 0 where the image really is zero outside,
            half the filter where what was outside is unknown (a user's own pairs).

    Returns:
        A function of `y_true` and `y_pred`, (n, side, side, 1) float, to a number per image.
    """
    side = len(whitening)
    taper = spectrum.hann_taper(side, side, margin)
    weight = 1 / (np.sum(taper**2) * whitening)

    def loss(y_true, y_pred):
        return _mean_power((y_pred - y_true)[..., 0] * taper.astype("float32"), weight)

    return loss


def smoothness_prior(weight):
    """A regularizer: the mean of the filter's power spectrum, each frequency with its own weight.

    Args:
        weight: float (side, side // 2 + 1), >= 0. With `strength * roughness / whitening` the
            sum of this and `whitened_residual` is least squares with the classical penalty
            `strength * |third differences|^2`.
    """
    return lambda kernel: _mean_power(kernel[:, :, 0, 0], weight)


def _mean_power(images, weight):
    """The mean over all frequencies of images' power, (..., side, side), times its weight."""
    side = len(weight)
    real, imaginary = rfft2(images, (side, side))  # columns first, and so is the weight
    weight = (spectrum.half_plane_counts(side) / side**2 * weight).T.astype("float32")
    return ops.sum((ops.square(real) + ops.square(imaginary)) * weight, axis=(-2, -1))


class Recipe(NamedTuple):
    """What `measure` derives from the sharp images; `power` is their own spectrum,
    float64 (side, side // 2 + 1)."""

    power: np.ndarray
    loss: Callable
    prior: Callable | None
    learning_rate: float

    def optimizer(self, steps):
        """Stochastic gradient descent whose steps shrink to an average over the run.

        Momentum multiplies a step by 1 / (1 - momentum). Once that is 1 / `steps`, the last
        third of the run is averaged, which is what noise needs; a cosine averages a tenth.
        """
        last = (1 - MOMENTUM) / steps
        rate = min(last / self.learning_rate, 1.0)
        schedule = keras.optimizers.schedules.ExponentialDecay(self.learning_rate, steps, rate)
        return keras.optimizers.SGD(schedule, momentum=MOMENTUM, nesterov=True)


def hidden_edge(own, shifted, kernel_size):
    """Pixels at the frame's edge that are better left out although they are known.

    Shifted within a zero-padded filter, an image brings its frame's edge into the picture. In
    smooth images it outshines everything else at high frequencies, and weights far from the
    filter's center, which shift most, are learned thousands of times faster than those near it. But
    where the images themselves have no power at all, only the edge tells of the kernel, and stays.

    Args:
        own: float (side, side // 2 + 1): `power_spectrum` of the images.
        shifted: the same of the images shifted within the filter.
        kernel_size: pixels per side of the filter.

    Returns:
        int: half the filter, or 0, as always where that would be more than a quarter of the image.
    """
    half = kernel_size // 2
    outshone = np.quantile(shifted / own - 1, 1 - EDGE_SHARE) > EDGE_EXCESS
    alone = own.min() > spectrum.FLOOR * own.max()
    return half if outshone and alone and half <= len(own) // 4 else 0


def measure(sharp, kernel_size, batch_size, strength=0.0, margin=0):
    """Measures the images and sets the whitening, the prior and the step size accordingly.

    Args:
        sharp: float (n, side, side), range 0..1; 100 to 500 crops of the training images.
        kernel_size: pixels per side of the filter.
        batch_size: crops in a training batch; the smaller, the shorter a step is safe.
        strength: of the smoothness prior; `estimate_kernel(...).strength`, chosen on held-out
            images. 0 for exact data.
        margin: pixels at the frame's edge that have to be left out, see `whitened_residual`; where
            none have to, `hidden_edge` decides.

    Returns:
        A `Recipe`.
    """
    own = spectrum.power_spectrum(sharp)
    margin = margin or hidden_edge(own, spectrum.power_spectrum(sharp, kernel_size), kernel_size)
    power = spectrum.power_spectrum(sharp, kernel_size, margin)
    penalty = strength * spectrum.roughness(len(own))
    whitening = power + spectrum.FLOOR * power.max() + penalty
    weight = penalty / whitening
    curvature = spectrum.batch_curvature(sharp, batch_size, kernel_size, whitening, margin)
    prior = smoothness_prior(weight) if strength else None
    learning_rate = 1 / (curvature + 2 * weight.max())
    return Recipe(own, whitened_residual(whitening, margin), prior, learning_rate)
