"""A network of one convolution filter: an image in, its blurred version out."""

import keras
import numpy as np
from keras import ops

from foldernet.blur.kernels import transform_length


def single_filter(image_size, kernel_size, init="zeros", regularizer=None):
    """Builds the network whose only weights are the pixels of one convolution kernel.

    `single_filter(256, 97)(images)  # (n, 256, 256, 1) float -> (n, 256, 256, 1) float`

    Args:
        image_size: pixels per side.
        kernel_size: pixels per side of the filter, odd or even.
        init: Keras initializer. "zeros" is what converges: an ill-posed regression never removes
            what a random start puts where the images have no power. "glorot_uniform" reproduces
            that failure.
        regularizer: of the filter, such as `smoothness_prior`, or None. It is a part of training,
            and not saved.

    Returns:
        A functional `keras.Model` named "single_filter" with one layer, "filter".
    """
    images = keras.Input((image_size, image_size, 1), name="image")
    convolution = ZeroPaddedConvolution(kernel_size, init, name="filter")
    model = keras.Model(images, convolution(images), name="single_filter")
    convolution.kernel.regularizer = regularizer
    return model


def learned_kernel(model: keras.Model) -> np.ndarray:
    """The filter of such a network, float64 (size, size)."""
    return ops.convert_to_numpy(model.weights[0])[:, :, 0, 0].astype(float)


@keras.saving.register_keras_serializable("foldernet")
class ZeroPaddedConvolution(keras.layers.Layer):
    """Convolves every channel of an image with one trained kernel, zero-padded to the same size.

    A true convolution, aligned as `scipy.signal.convolve2d(image, kernel, mode="same",
    boundary="fill")` does it, for odd and even sizes: the weights are the kernel itself, neither
    flipped nor shifted. (`keras.layers.Conv2D` correlates, and centers even sizes one pixel
    away.) It goes by a Fourier transform just long enough that nothing wraps around into the image,
    which from a kernel of 3x3 on takes less time than a direct convolution.

    Input and output: (n, height, width, channels) float; any height, width and channels, but known.

    Args:
        kernel_size: pixels per side, odd or even.
        kernel_initializer: Keras initializer; the weight has `Conv2D`'s shape
            (kernel_size, kernel_size, 1, 1), so that its fan-in is the same.
    """

    def __init__(self, kernel_size, kernel_initializer="zeros", **kwargs):
        super().__init__(**kwargs)
        self.kernel_size, self.kernel_initializer = kernel_size, kernel_initializer

    def build(self, input_shape):
        shape = (self.kernel_size, self.kernel_size, 1, 1)
        self.kernel = self.add_weight(shape, self.kernel_initializer, name="kernel")

    def call(self, images):
        planes = ops.transpose(images, (0, 3, 1, 2))  # (n, channels, height, width)
        height, width = planes.shape[2:]
        lengths = [transform_length(side, self.kernel_size) for side in (height, width)]
        a, b = rfft2(planes, lengths)
        c, d = rfft2(self.kernel[:, :, 0, 0], lengths)
        convolved = irfft2((a * c - b * d, a * d + b * c), lengths)
        start = (self.kernel_size - 1) // 2
        convolved = convolved[..., start : start + height, start : start + width]
        return ops.transpose(convolved, (0, 2, 3, 1))

    @classmethod
    def from_config(cls, config):
        config.pop("method", None)  # which earlier versions wrote, and the result doesn't depend on
        return super().from_config(config)


# Two-dimensional real Fourier transforms in keras.ops, which has only the one-dimensional one, so
# that the layer and the loss run on every backend; under XLA they cost as much as TensorFlow's.


def rfft2(images, lengths):
    """Transforms real images over their last two axes, zero-padded to `lengths`.

    Args:
        images: float tensor (..., height, width).
        lengths: two integers, each at least as long as its axis.

    Returns:
        Real and imaginary part, each (..., width_frequencies, height_frequencies): transposed,
        because every axis but the last has to be moved to the end to be transformed. Only the
        non-negative horizontal frequencies are there, `lengths[1] // 2 + 1` of them.
    """
    spectrum = [ops.swapaxes(part, -1, -2) for part in ops.rfft(images, lengths[1])]
    padding = [(0, 0)] * (len(images.shape) - 1) + [(0, lengths[0] - images.shape[-2])]
    return ops.fft(tuple(ops.pad(part, padding) for part in spectrum))


def irfft2(spectrum, lengths):
    """Inverts `rfft2`.

    Args:
        spectrum: real and imaginary part as `rfft2` returns them.
        lengths: the two integers given to `rfft2`.

    Returns:
        float tensor (..., lengths[0], lengths[1]).
    """
    # The inverse transform is the forward one of the conjugate; keras.ops inverts only in 2-D.
    real, imaginary = ops.fft((spectrum[0], -spectrum[1]))
    columns = (ops.swapaxes(real, -1, -2), ops.swapaxes(-imaginary, -1, -2))
    return ops.irfft(columns, lengths[1]) / lengths[0]
