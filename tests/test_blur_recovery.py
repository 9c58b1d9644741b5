"""The science: the filter that comes out is the filter that went in."""

import keras
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from foldernet.blur import comparison as scores
from foldernet.blur import kernels
from foldernet.blur.kernels import blur
from foldernet.blur.recipe import hidden_edge, measure, whitened_residual
from foldernet.blur.reference import estimate_kernel
from foldernet.blur.single_filter import single_filter
from foldernet.blur.spectrum import identifiable_band, largest_curvature, power_spectrum
from foldernet.terminal import UserError

ASYMMETRIC = np.random.default_rng(7).random((7, 7)) / 24.5


def textures(count, seed=0, size=96):
    """Images as photographs are: power falling with the square of the frequency, range 0..1."""
    rng = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None, :])
    spectrum = np.fft.rfft2(rng.standard_normal((count, size, size))) / (frequency + 1 / size)
    images = np.fft.irfft2(spectrum, (size, size))
    low, high = images.min(axis=(1, 2), keepdims=True), images.max(axis=(1, 2), keepdims=True)
    return (images - low) / (high - low)


def train(sharp, blurred, kernel_size, epochs, strength=0.0, batch=8):
    recipe = measure(sharp, kernel_size, batch, strength)
    model = single_filter(sharp.shape[1], kernel_size, regularizer=recipe.prior)
    steps = epochs * len(sharp) // batch
    model.compile(recipe.optimizer(steps), loss=recipe.loss, jit_compile=True)
    keras.utils.set_random_seed(0)
    model.fit(sharp[..., None], blurred[..., None], batch, epochs, verbose=0)
    return model.get_layer("filter").kernel.numpy()[:, :, 0, 0].astype(float)


@pytest.mark.parametrize("kernel", [kernels.gaussian(2), kernels.disk(3.5)])
def test_training_recovers_the_kernel_from_photograph_like_images(kernel):
    sharp = textures(64)
    learned = train(sharp, blur(sharp, kernel), 25, epochs=12)
    assert scores.relative_l2(learned, kernel) < 1e-4
    assert scores.centroid_shift_pixels(learned, kernel) < 1e-3


def test_training_recovers_the_kernel_from_white_noise():
    sharp = np.random.default_rng(0).random((64, 96, 96))
    learned = train(sharp, blur(sharp, ASYMMETRIC), 25, epochs=12)
    assert scores.relative_l2(learned, ASYMMETRIC) < 1e-4


def test_a_rare_steep_image_does_not_blow_up_small_batches():
    sharp = gaussian_filter(textures(64), (0, 1, 1))
    grain = np.sin(2 * np.pi * 0.35 * np.arange(96))  # where the other images are weak
    sharp[40:44, :, 72:] += 0.3 * grain[:, None]
    kernel = kernels.gaussian(2)
    learned = train(sharp, blur(sharp, kernel), 25, epochs=6, batch=1)
    assert scores.relative_l2(learned, kernel) < 1e-3  # 1e9 with the step of the mean's curvature


def test_training_recovers_a_gaussian_from_smooth_images():
    sharp = gaussian_filter(textures(64), (0, 3, 3))
    learned = train(sharp, blur(sharp, kernels.gaussian(4)), 41, epochs=12)
    # At high frequencies there is nothing but the edge.
    assert hidden_edge(power_spectrum(sharp), power_spectrum(sharp, 41), 41) == 0
    assert scores.relative_l2(learned, kernels.gaussian(4)) < 1e-2


def test_training_recovers_a_gaussian_from_smooth_images_of_8_bits():
    sharp = gaussian_filter(np.random.default_rng(0).random((96, 128, 128)), (0, 5, 5))
    sharp = np.rint(255 * (sharp - sharp.min()) / np.ptp(sharp)) / 255
    learned = train(sharp, blur(sharp, kernels.gaussian(3)), 25, epochs=12)
    assert hidden_edge(power_spectrum(sharp), power_spectrum(sharp, 25), 25) == 12
    assert scores.relative_l2(learned, kernels.gaussian(3)) < 3e-4  # 6e-4 with the edge in view


def test_the_prior_chosen_on_held_out_images_helps_against_noise():
    rng = np.random.default_rng(1)
    kernel = kernels.gaussian(2)
    sharp = textures(64)
    blurred = blur(sharp, kernel) + 0.01 * rng.standard_normal(sharp.shape)
    held_out = textures(16, seed=1)
    held_out = held_out, blur(held_out, kernel) + 0.01 * rng.standard_normal(held_out.shape)
    estimate = estimate_kernel([(sharp, blurred)], 25, held_out)
    assert estimate.converged
    assert estimate.strength > 0
    bare = estimate_kernel([(sharp, blurred)], 25)
    assert scores.relative_l2(estimate.kernel, kernel) < 0.5 * scores.relative_l2(
        bare.kernel, kernel
    )
    learned = train(sharp, blurred, 25, epochs=12, strength=estimate.strength)
    assert scores.relative_l2(learned, kernel) < 2 * scores.relative_l2(estimate.kernel, kernel)


@pytest.mark.parametrize("zero_padded", [True, False])
def test_the_reference_is_exact_on_exact_pairs(zero_padded):
    sharp = textures(20, size=128)
    blurred = blur(sharp, ASYMMETRIC)
    if not zero_padded:  # a camera: what was outside the frame is gone
        sharp, blurred = sharp[:, 8:-8, 8:-8], blurred[:, 8:-8, 8:-8]
    estimate = estimate_kernel(zip(sharp, blurred, strict=True), 17, zero_padded=zero_padded)
    assert estimate.converged
    assert scores.relative_l2(estimate.kernel, ASYMMETRIC) < 1e-8


@pytest.mark.parametrize(
    ("sharp", "blurred", "size", "message"),
    [
        (np.ones((1, 64, 64)), np.ones((1, 64, 63)), 5, "must have the same size"),
        (np.ones((1, 64, 64)), np.ones((1, 64, 64)), 5, "constant"),
        (np.full((1, 64, 64), np.nan), np.ones((1, 64, 64)), 5, "NaN"),
        (textures(1), textures(1), 4, "odd"),
        (textures(1), textures(1), 67, "at most 65"),
    ],
)
def test_the_reference_says_what_is_wrong_with_the_pairs(sharp, blurred, size, message):
    with pytest.raises(UserError, match=message):
        estimate_kernel([(sharp, blurred)], size)


def test_the_reference_needs_a_pair():
    with pytest.raises(UserError, match="no pairs"):
        estimate_kernel([], 5)


def test_the_curvature_is_the_hessian_of_the_loss():
    sharp = textures(3, size=32)
    power = power_spectrum(sharp, 5)
    loss = whitened_residual(power)
    columns = [blur(sharp, unit) for unit in np.eye(25).reshape(25, 5, 5)]
    values = np.array(
        [
            [np.mean(loss(np.zeros((3, 32, 32, 1)), (a + b)[..., None])) for b in columns]
            for a in columns
        ]
    )
    alone = np.diag(values) / 4  # the loss is quadratic: loss(2a) = 4 loss(a)
    hessian = values - alone[:, None] - alone[None, :]
    largest = np.linalg.eigvalsh(hessian)[-1]
    np.testing.assert_allclose(largest_curvature(sharp, 5, power), largest, rtol=0.02)


def test_white_noise_has_a_flat_spectrum_at_its_variance():
    noise = np.random.default_rng(0).standard_normal((200, 32, 32))
    np.testing.assert_allclose(power_spectrum(noise), 1, rtol=0.4)
    np.testing.assert_allclose(power_spectrum(noise).mean(), 1, rtol=0.01)


def test_the_band_ends_where_noise_drowns_the_images():
    power = power_spectrum(textures(32), 25)
    kernel = kernels.gaussian(2)
    limits = [identifiable_band(power, v, 10**6, kernel)[1] for v in (1e-14, 1e-3, 1e-1)]
    assert limits[0] == pytest.approx(np.sqrt(0.5))
    assert limits[0] > limits[1] > limits[2]


def test_scores_of_a_gaussian_are_the_textbooks():
    kernel = kernels.gaussian(4)
    assert scores.relative_l2(kernel, kernels.centered(kernel, 51)) == 0
    frequencies, mtf = scores.mtf_profile(kernel)
    falls_to_half = np.sqrt(np.log(2) / 2) / (np.pi * 4)
    assert np.interp(falls_to_half, frequencies, mtf) == pytest.approx(0.5, rel=0.01)
    shifted = np.roll(kernels.centered(kernel, 51), (3, 4), axis=(0, 1))
    assert scores.centroid_shift_pixels(shifted, kernel) == pytest.approx(5, abs=0.01)
    band = np.ones((64, 33), bool)
    assert scores.in_band_otf_error(1.01 * kernel, kernel, band) == pytest.approx(0.01)
    known, unknown = np.full((64, 33), 1e-18), np.full((64, 33), np.inf)
    assert scores.attainable_l2(kernel, known) == pytest.approx(
        1e-18 / np.linalg.norm(kernel), rel=0.01
    )
    assert scores.attainable_l2(kernel, unknown) == 1
