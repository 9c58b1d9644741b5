"""A network of one convolution filter: an image in, its blurred version out."""

import keras
from keras import ops

from foldernet.blur.fourier import irfft2, rfft2
from foldernet.blur.kernels import transform_length


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
        regularizer: Keras regularizer of the filter, such as `smoothness_prior`, or None.

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
    away.) It goes by a Fourier transform just long enough that nothing wraps around into the image,
    which from a kernel of 3x3 on takes less time than a direct convolution.

    Input and output: (n, height, width, channels) float; any height, width and channels.

    Args:
        kernel_size: pixels per side, odd or even.
        kernel_initializer: Keras initializer; the weight has `Conv2D`'s shape
            (kernel_size, kernel_size, 1, 1), so that its fan-in is the same.
        kernel_regularizer: Keras regularizer or None; a part of training, and not saved.

    Raises:
        ValueError: if `kernel_size` isn't a positive integer.
    """

    def __init__(self, kernel_size, kernel_initializer="zeros", kernel_regularizer=None, **kwargs):
        super().__init__(**kwargs)
        if int(kernel_size) != kernel_size or kernel_size < 1:
            raise ValueError(f"kernel_size is {kernel_size}; give a whole number of pixels >= 1.")
        self.kernel_size = int(kernel_size)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.kernel_regularizer = kernel_regularizer

    def build(self, input_shape):
        self.kernel = self.add_weight(
            shape=(self.kernel_size, self.kernel_size, 1, 1),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            name="kernel",
        )

    def call(self, images):
        planes = ops.transpose(images, (0, 3, 1, 2))  # (n, channels, height, width)
        height, width = ops.shape(planes)[2:]
        lengths = [_transform_length(side, self.kernel_size) for side in (height, width)]
        a, b = rfft2(planes, lengths)
        c, d = rfft2(self.kernel[:, :, 0, 0], lengths)
        convolved = irfft2((a * c - b * d, a * d + b * c), lengths)
        start = (self.kernel_size - 1) // 2
        convolved = convolved[..., start : start + height, start : start + width]
        return ops.transpose(convolved, (0, 2, 3, 1))

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return super().get_config() | {
            "kernel_size": self.kernel_size,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }

    @classmethod
    def from_config(cls, config):
        config.pop("method", None)  # which earlier versions wrote, and the result doesn't depend on
        return super().from_config(config)


def _transform_length(image_side, kernel_side):
    """As `transform_length`; of a side that is known at run time only, the shortest there is."""
    if isinstance(image_side, int):
        return transform_length(image_side, kernel_side)
    return ops.maximum(image_side + kernel_side // 2, kernel_side)
