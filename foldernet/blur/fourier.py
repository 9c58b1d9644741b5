"""Two-dimensional real Fourier transforms in `keras.ops`, which has only the one-dimensional one.

Written with `keras.ops` alone, so that the layer and the loss run on every Keras backend; under
XLA they cost the same as TensorFlow's `rfft2d`.
"""

from keras import ops


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
