"""A network of one convolution filter: an image in, its blurred version out."""

import keras
import numpy as np
from keras import ops
from scipy.fft import next_fast_len

from foldernet.blur.fourier import irfft2, rfft2

# The largest filter that isn't worth the transforms everywhere: a step on 256x256 by two CPU cores
# took 2.8 ms an image directly and 1.2 by FFT at 3 and 10.5 and 1.1 at 9 on one machine, and on
# another was cheaper directly up to 5.
DIRECT_UP_TO = 3

# Transform lengths with small prime factors only, for images whose size is known at run time.
FAST_LENGTHS = np.unique([next_fast_len(n, real=True) for n in range(1, 1 << 15)]).astype("int32")


def single_filter(image_size, kernel_size, channels=1, init="zeros", regularizer=None):
    """Builds the network whose only weights are the pixels of one convolution kernel.

    `single_filter(256, 97)(images)  # (n, 256, 256, 1) float -> (n, 256, 256, 1) float`

    Args:
        image_size: pixels per side, or None for images of any height and width.
        kernel_size: pixels per side of the filter, odd or even.
        channels: channels of the image; the same filter is applied to each. None for any number.
        init: Keras initializer. "zeros" is what converges: an ill-posed regression never removes
            what a random start puts where the images have no power. "glorot_uniform" reproduces
            that failure.
        regularizer: Keras regularizer of the filter, such as `SmoothnessPrior`, or None.

    Returns:
        A functional `keras.Model` named "single_filter" with one layer, "filter".

    Raises:
        ValueError: if a size isn't positive.
    """
    images = keras.Input((image_size, image_size, channels), name="image")
    convolution = ZeroPaddedConvolution(kernel_size, init, regularizer, name="filter")
    return keras.Model(images, convolution(images), name="single_filter")


@keras.saving.register_keras_serializable("foldernet")
class ZeroPaddedConvolution(keras.layers.Layer):
    """Convolves every channel of an image with one trained kernel, zero-padded to the same size.

    A true convolution, aligned as `scipy.signal.convolve2d(image, kernel, mode="same",
    boundary="fill")` does it, for odd and even sizes: the weights are the kernel itself, neither
    flipped nor shifted. (`keras.layers.Conv2D` correlates, and centers even sizes one pixel
    away.) Small kernels are applied directly, larger ones by a Fourier transform just long enough
    that nothing wraps around into the image; both give the same result.

    Input and output: (n, height, width, channels) float; any height, width and channels.

    Args:
        kernel_size: pixels per side, odd or even.
        kernel_initializer: Keras initializer; the weight has `Conv2D`'s shape
            (kernel_size, kernel_size, 1, 1), so that its fan-in is the same.
        kernel_regularizer: Keras regularizer or None; a part of training, and not saved.
        method: "direct", "fft", or "auto" for the cheaper one.

    Raises:
        ValueError: if `kernel_size` isn't a positive integer or `method` is unknown.
    """

    def __init__(
        self,
        kernel_size,
        kernel_initializer="zeros",
        kernel_regularizer=None,
        method="auto",
        **kwargs,
    ):
        super().__init__(**kwargs)
        if int(kernel_size) != kernel_size or kernel_size < 1:
            raise ValueError(f"kernel_size is {kernel_size}; give a whole number of pixels >= 1.")
        if method not in ("auto", "direct", "fft"):
            raise ValueError(f"method is {method!r}; expected 'auto', 'direct' or 'fft'.")
        self.kernel_size = int(kernel_size)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.kernel_regularizer = kernel_regularizer
        self.method = method

    def build(self, input_shape):
        self.kernel = self.add_weight(
            shape=(self.kernel_size, self.kernel_size, 1, 1),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            name="kernel",
        )

    def call(self, images):
        kernel = self.kernel[:, :, 0, 0]
        planes = ops.transpose(images, (0, 3, 1, 2))  # (n, channels, height, width)
        direct = self.method == "direct" or (
            self.method == "auto" and self.kernel_size <= DIRECT_UP_TO
        )
        planes = _convolve_directly(planes, kernel) if direct else _convolve_by_fft(planes, kernel)
        return ops.transpose(planes, (0, 2, 3, 1))

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return super().get_config() | {
            "kernel_size": self.kernel_size,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "method": self.method,
        }


def _convolve_directly(planes, kernel):
    size = kernel.shape[0]
    channels, height, width = ops.shape(planes)[1:]
    border = (size // 2, (size - 1) // 2)  # the sides of an even kernel differ
    padded = ops.pad(planes, ((0, 0), (0, 0), border, border))
    padded = ops.reshape(padded, (-1, height + size - 1, width + size - 1, 1))
    flipped = ops.flip(kernel, (0, 1))[:, :, None, None]  # ops.conv correlates
    convolved = ops.conv(padded, flipped, padding="valid", data_format="channels_last")
    return ops.reshape(convolved, (-1, channels, height, width))


def _convolve_by_fft(planes, kernel):
    size = kernel.shape[0]
    height, width = ops.shape(planes)[2:]
    lengths = [_transform_length(side, size) for side in (height, width)]
    a, b = rfft2(planes, lengths)
    c, d = rfft2(kernel, lengths)
    convolved = irfft2((a * c - b * d, a * d + b * c), lengths)
    start = (size - 1) // 2
    return convolved[..., start : start + height, start : start + width]


def _transform_length(image_side, kernel_side):
    """The shortest fast transform whose wrap-around stays outside the central, kept part."""
    if isinstance(image_side, int):
        return next_fast_len(max(image_side + kernel_side // 2, kernel_side), real=True)
    needed = ops.reshape(ops.maximum(image_side + kernel_side // 2, kernel_side), (1,))
    return ops.take(FAST_LENGTHS, ops.searchsorted(FAST_LENGTHS, needed)[0])
