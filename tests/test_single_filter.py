import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.signal import convolve2d

from foldernet.blur.single_filter import ZeroPaddedConvolution, single_filter


def convolve(images, kernel):
    planes = [
        [convolve2d(plane, kernel, mode="same", boundary="fill") for plane in image]
        for image in images.transpose(0, 3, 1, 2)
    ]
    return np.array(planes).transpose(0, 2, 3, 1)


@pytest.mark.parametrize("size", [1, 2, 3, 8, 25, 60])
def test_the_layer_is_scipys_convolution_for_odd_and_even_sizes(size):
    rng = np.random.default_rng(size)
    kernel, images = rng.standard_normal((size, size)), rng.random((2, 33, 40, 3))
    inputs = keras.Input((33, 40, 3))
    layer = ZeroPaddedConvolution(size)
    model = keras.Model(inputs, layer(inputs))
    layer.kernel.assign(kernel[:, :, None, None])
    expected = convolve(images, kernel)
    outputs = model.predict(images.astype("float32"), verbose=0)
    np.testing.assert_allclose(outputs, expected, atol=3e-6 * np.abs(expected).max())


def test_the_gradient_is_that_of_tensorflows_convolution():
    rng = np.random.default_rng(0)
    images = rng.random((2, 20, 24, 1)).astype("float32")
    layer = ZeroPaddedConvolution(7)
    layer.build(images.shape)
    layer.kernel.assign(np.ones((7, 7, 1, 1)))

    def direct(images):  # TensorFlow correlates
        return tf.nn.conv2d(images, tf.reverse(layer.kernel.value, [0, 1]), 1, "SAME")

    gradients = []
    for convolve in (direct, layer):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(convolve(images) ** 3)
        gradients.append(tape.gradient(loss, layer.kernel.value))
    np.testing.assert_allclose(gradients[0], gradients[1], rtol=1e-4)


def test_a_layer_of_an_earlier_version_is_read_whatever_its_method():
    config = ZeroPaddedConvolution(3).get_config()
    for method in ("auto", "direct", "fft"):
        layer = ZeroPaddedConvolution.from_config(config | {"method": method})
        assert layer.get_config() == config


def test_the_filter_starts_at_zero():
    assert not np.any(single_filter(32, 5).get_weights()[0])


def test_the_model_survives_saving_and_export(tmp_path):
    model = single_filter(50, 25, init="glorot_uniform", regularizer=lambda kernel: 0.0)
    images = np.random.default_rng(0).random((2, 50, 50, 1)).astype("float32")
    expected = model.predict(images, verbose=0)
    model.save(tmp_path / "filter.keras")
    loaded = keras.saving.load_model(tmp_path / "filter.keras")
    np.testing.assert_array_equal(loaded.predict(images, verbose=0), expected)
    model.export(tmp_path / "exported", verbose=False)
    served = tf.saved_model.load(tmp_path / "exported")
    np.testing.assert_allclose(served.serve(images), expected, atol=1e-6)
