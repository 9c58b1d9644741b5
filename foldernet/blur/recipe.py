"""How the filter is trained: loss, prior and optimizer, all from the images' own spectrum."""

from dataclasses import dataclass

import keras
import numpy as np
from keras import ops

from foldernet.blur import spectrum
from foldernet.blur.fourier import rfft2
from foldernet.blur.spectrum import FLOOR, frame_shape, half_plane_counts, power_spectrum

# Of the frequencies, and how many times as strong as the images the frame's edge is there, from
# which on it is hidden. At 97x97 it is 0.2 times as strong in photographs, 6 times in blobs.
EDGE_SHARE, EDGE_EXCESS = 0.1, 1.0
MOMENTUM = 0.9  # with Nesterov's step of 1 / curvature; 0.97 overshoots for hundreds of steps


@keras.saving.register_keras_serializable("foldernet")
class WhitenedResidual(keras.losses.Loss):
    """Power of the residual, each frequency divided by the images' own power there.

    Images have a hundred million times less power at high than at low frequencies, and the mean
    squared error learns each frequency of the filter at the speed of its power. Divided by the
    spectrum, all frequencies are learned at nearly one speed. What is learned doesn't change: the
    minimum per frequency stays where it was.

    `y_true`, `y_pred`: (n, height, width, channels) float; the loss is one number per image.

    Args:
        whitening: float (height, width // 2 + 1): the power to divide by, positive: the images'
            spectrum, plus a floor, plus the prior's strength times its roughness.
        margin: pixels at the frame's edge to ignore: 0 where the image really is zero outside,
            half the filter where what was outside is unknown (a user's own pairs).
    """

    def __init__(self, whitening, margin=0, name="whitened_residual", **kwargs):
        super().__init__(name=name, **kwargs)
        self.whitening = np.asarray(whitening, "float32")
        self.margin = margin

    def call(self, y_true, y_pred):
        height, width = y_pred.shape[1:3]
        if self.whitening.shape != (height, width // 2 + 1):
            measured = "x".join(map(str, frame_shape(self.whitening)))
            raise ValueError(
                f"The loss was measured on {measured} images and got {height}x{width}. Measure the"
                " spectrum again at that size."
            )
        taper = spectrum.hann_taper(height, width, self.margin)
        scale = half_plane_counts(width) / (np.sum(taper**2) * height * width)
        residual = ops.transpose(y_pred - y_true, (0, 3, 1, 2)) * taper.astype("float32")
        return ops.mean(_weighted_power(residual, scale / self.whitening), axis=1)

    def get_config(self):
        return super().get_config() | {"whitening": self.whitening.tolist(), "margin": self.margin}


class SmoothnessPrior(keras.regularizers.Regularizer):
    """Mean of the filter's power spectrum, each frequency with its own weight.

    Args:
        weight: float (height, width // 2 + 1), >= 0. With `strength * roughness / whitening` the
            sum of this and `WhitenedResidual` is least squares with the classical penalty
            `strength * |third differences|^2`.
    """

    def __init__(self, weight):
        self.weight = np.asarray(weight, "float32")

    def __call__(self, kernel):
        height, width = frame_shape(self.weight)
        counts = half_plane_counts(width) / (height * width)
        return _weighted_power(kernel[:, :, 0, 0], counts * self.weight)


def _weighted_power(images, weight):
    """Power of images (..., height, width), each frequency times its weight, summed over all."""
    real, imaginary = rfft2(images, frame_shape(weight))
    weight = weight.T.astype("float32")  # rfft2 returns columns first
    return ops.sum((ops.square(real) + ops.square(imaginary)) * weight, axis=(-2, -1))


@dataclass(frozen=True)
class Recipe:
    """What `measure` derives from the sharp images; `power` is their own spectrum,
    float64 (height, width // 2 + 1)."""

    power: np.ndarray
    loss: WhitenedResidual
    prior: SmoothnessPrior | None
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
        own: float (height, width // 2 + 1): `power_spectrum` of the images, of even width.
        shifted: the same of the images shifted within the filter.
        kernel_size: pixels per side of the filter.

    Returns:
        int: half the filter, or 0, as always where that would be more than a quarter of the image.
    """
    half, side = kernel_size // 2, min(frame_shape(own))
    outshone = np.quantile(shifted / own - 1, 1 - EDGE_SHARE) > EDGE_EXCESS
    alone = own.min() > FLOOR * own.max()
    return half if outshone and alone and half <= side // 4 else 0


def measure(sharp, kernel_size, batch_size, strength=0.0, margin=0):
    """Measures the images and sets the whitening, the prior and the step size accordingly.

    Args:
        sharp: float (n, height, width), range 0..1; 100 to 500 crops of the training images.
        kernel_size: pixels per side of the filter.
        batch_size: crops in a training batch; the smaller, the shorter a step is safe.
        strength: of the smoothness prior; `estimate_kernel(...).strength`, chosen on held-out
            images. 0 for exact data.
        margin: pixels at the frame's edge that have to be left out, see `WhitenedResidual`; where
            none have to, `hidden_edge` decides.

    Returns:
        A `Recipe`.
    """
    own, power = power_spectrum(sharp), power_spectrum(sharp, kernel_size, margin)
    hidden = 0 if margin else hidden_edge(own, power, kernel_size)
    if hidden:
        margin, power = hidden, power_spectrum(sharp, kernel_size, hidden)
    penalty = strength * spectrum.roughness(*sharp.shape[1:])
    whitening = power + FLOOR * power.max() + penalty
    weight = penalty / whitening
    curvature = spectrum.batch_curvature(sharp, batch_size, kernel_size, whitening, margin)
    return Recipe(
        power=own,
        loss=WhitenedResidual(whitening, margin),
        prior=SmoothnessPrior(weight) if strength else None,
        learning_rate=1 / (curvature + 2 * weight.max()),
    )
