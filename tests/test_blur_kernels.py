import numpy as np
import pytest
from scipy.signal import convolve2d

from foldernet.blur import kernels
from foldernet.blur.kernels import blur, observe
from foldernet.terminal import UserError


@pytest.mark.parametrize(
    "kernel", [kernels.gaussian(2), kernels.motion(21, 37), kernels.disk(8.5), kernels.disk(0.3)]
)
def test_kernels_are_odd_centered_and_of_sum_one(kernel):
    assert kernel.shape[0] == kernel.shape[1]
    assert kernel.shape[0] % 2 == 1
    assert kernel.min() >= 0
    np.testing.assert_allclose(kernel.sum(), 1)
    np.testing.assert_allclose(kernel, kernel[::-1, ::-1], atol=1e-12)


def test_motion_angle_is_counter_clockwise_from_the_rows():
    kernel = kernels.motion(21, 37)
    upper_right = kernel[: kernel.shape[0] // 2, kernel.shape[0] // 2 + 1 :]
    assert upper_right.sum() > 0.4


def test_a_kernel_file_is_padded_about_the_center_of_a_same_convolution(tmp_path):
    array = np.random.default_rng(0).random((4, 6))
    np.save(tmp_path / "kernel.npy", array)
    kernel = kernels.from_file(tmp_path / "kernel.npy")
    image = np.random.default_rng(1).random((20, 30))
    expected = convolve2d(image, array / array.sum(), mode="same")
    assert kernel.shape == (7, 7)
    np.testing.assert_allclose(blur(image, kernel), expected, atol=1e-12)


@pytest.mark.parametrize("array", [np.full((3, 3), np.nan), np.zeros((3, 3)), np.ones(3)])
def test_a_kernel_file_that_is_no_kernel_is_refused(tmp_path, array):
    np.save(tmp_path / "kernel.npy", array)
    with pytest.raises(UserError, match="a kernel is a 2-D array"):
        kernels.from_file(tmp_path / "kernel.npy")


@pytest.mark.parametrize("size", [1, 2, 5, 8, 31])
def test_blur_equals_scipy_convolve2d(size):
    rng = np.random.default_rng(size)
    image, kernel = rng.random((33, 40)), rng.standard_normal((size, size))
    expected = convolve2d(image, kernel, mode="same", boundary="fill")
    np.testing.assert_allclose(blur(image, kernel), expected, atol=1e-11)


def test_a_camera_adds_noise_and_rounds_to_its_levels():
    image, kernel = np.full((64, 64), 0.5), np.ones((1, 1))
    noisy = observe(image, kernel, noise=0.01, random=np.random.default_rng(1))
    assert noisy.std() == pytest.approx(0.01, rel=0.1)
    rounded = observe(image + 0.6, kernel, bits=8)
    np.testing.assert_array_equal(rounded, 1)
    np.testing.assert_allclose(observe(image, kernel, bits=8), 128 / 255)
