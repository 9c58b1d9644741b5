"""What a blur run learned: its filter while it grows, and against the true one in the end."""

import math
from functools import partial
from typing import TYPE_CHECKING

import keras
import numpy as np

from foldernet import terminal
from foldernet.blur import kernel_figures, kernel_scores, kernels, spectrum
from foldernet.blur.pairs import first_epoch, stacked
from foldernet.datasets.image_list import Dataset
from foldernet.evaluation.figure_log import FigureLog
from foldernet.files import write_whole
from foldernet.images.reader import image_size
from foldernet.training.runs import Run

if TYPE_CHECKING:
    from foldernet.blur.task import Blur

# Of a blurred image in float32, for a range of 1: what is never determined better than that.
ROUNDING_VARIANCE = 1e-15


class KernelGrowth(keras.callbacks.Callback):
    """Adds `kernel_error` to each epoch's logs, and draws the filters of all epochs in the end.

    Args:
        true: the true kernel, for its relative L2 error; None leaves that out.
        log: gets the figure `kernel_growth`.
    """

    kept = ("grown", "errors")

    def __init__(self, true: np.ndarray | None, log: FigureLog):
        super().__init__()
        self.true, self.log = true, log
        self.grown, self.errors = [], []

    def on_epoch_end(self, epoch, logs=None):
        kernel = learned_kernel(self.model)
        if self.true is not None:
            logs["kernel_error"] = kernel_scores.relative_l2(kernel, self.true)
        if np.isfinite(kernel).all():
            self.grown.append(kernel)
            self.errors += [logs["kernel_error"]] if self.true is not None else []

    def on_train_end(self, logs=None):
        if self.grown:
            grown = list(map(np.asarray, self.grown))  # lists, of a run that was resumed
            self.log.show("kernel_growth", kernel_figures.growth(grown, self.errors))


def learned_kernel(model: keras.Model) -> np.ndarray:
    """The filter of the network, float64 (size, size)."""
    return keras.ops.convert_to_numpy(model.get_layer("filter").kernel)[:, :, 0, 0].astype(float)


def report(
    task: "Blur", dataset: Dataset, batches: dict, model: keras.Model, log: FigureLog, run: Run
) -> dict:
    """Score the filter, compare it with the true kernel and the reference, and draw them."""
    options = task.options
    learned, reference = learned_kernel(model), task.reference.kernel
    sharp, blurred = stacked(first_epoch(batches["validation"]))
    predicted = model.predict(sharp, batch_size=options.batch_size, verbose=0)
    inside = (slice(None), *2 * [slice(task.margin, options.image_size - task.margin)])
    sharp, blurred, predicted = (images[inside] for images in (sharp, blurred, predicted))
    if options.pairs:  # nobody knows their noise; the better of the two filters leaves it
        fit_mse = float(np.mean((predicted - blurred) ** 2))
        noise_variance = min(task.reference.holdout_mse, fit_mse)
    else:
        noise_variance = kernels.noise_variance(options.noise, options.bits)
    noise_variance = max(noise_variance, ROUNDING_VARIANCE)
    known = task.recipe.power, noise_variance, _pixels(options, dataset)
    band, limit = spectrum.identifiable_band(*known, learned)
    sentence = what_can_be_known(limit, task.recipe.prior is not None)
    _write_kernel(run, learned)
    true = {} if task.kernel is None else {"true": task.kernel}
    by_name = true | {"learned": learned, "reference": reference}
    log.show("kernels", kernel_figures.comparison(by_name))
    log.show("radial_profile", kernel_figures.radial_profile(by_name))
    log.show("mtf", kernel_figures.mtf(by_name, task.recipe.power, limit, sentence))
    log.show("residual", kernel_figures.residual(sharp[0], blurred[0], predicted[0]))
    terminal.result(sentence)
    otf_error = spectrum.standard_error(*known, len(learned))
    return _compared(learned, task, band, otf_error) | {
        "centroid_shift_pixels": kernel_scores.centroid_shift_pixels(learned, task.kernel),
        "dc_gain": kernel_scores.dc_gain(learned),
        "fwhm_pixels": kernel_scores.fwhm_pixels(learned),
        "mtf50_cycles_per_pixel": kernel_scores.mtf50_cycles_per_pixel(learned),
        "identifiable_cycles_per_pixel": limit,
        "psnr_holdout": kernel_scores.psnr(predicted, blurred),
        "kernel_size": task.kernel_size,
        "reference_converged": task.reference.converged,
        "what_can_be_known": sentence,
    }


def _compared(learned: np.ndarray, task: "Blur", band: np.ndarray, otf_error: np.ndarray) -> dict:
    """What only a known kernel tells; without one, how far fit and reference are apart."""
    true, reference = task.kernel, task.reference.kernel
    if true is None:
        return {"relative_l2_to_reference": kernel_scores.relative_l2(learned, reference)}
    return {
        "relative_l2": kernel_scores.relative_l2(learned, true),
        "relative_l2_reference": kernel_scores.relative_l2(reference, true),
        "relative_l2_attainable": kernel_scores.attainable_l2(true, otf_error),
        "in_band_otf_error": kernel_scores.in_band_otf_error(learned, true, band),
    }


def _pixels(options, dataset: Dataset) -> int:
    """Independent pixels seen: noise that is drawn anew counts in every crop, noise that belongs
    to the pixel once."""
    views = options.epochs * options.crops * options.image_size**2
    if options.noise:
        return views
    orientations = 1 if options.pairs else 4
    areas = (math.prod(image_size(path)) for path in dataset.splits["training"].paths)
    return min(views, orientations * sum(areas))


def what_can_be_known(limit: float, prior: bool) -> str:
    """One sentence on the frequencies that the images determine: up to `limit`, in cycles/pixel."""
    if limit >= 0.5:
        return "These images determine the kernel at every frequency."
    rest = "the prior" if prior else "noise"
    if limit == 0:
        return f"These images don't determine the kernel at all; what you see is {rest}."
    return (
        f"These images determine the kernel up to {limit:.2f} cycles/pixel; beyond it, what you"
        f" see is {rest}."
    )


def _write_kernel(run: Run, learned: np.ndarray) -> None:
    """kernel.npy as learned, and kernel.png with its peak at white and zero or less at black."""
    write_whole(run.models / "kernel.npy", lambda path: np.save(path, learned))
    write_whole(run.models / "kernel.png", partial(kernel_figures.save_kernel, learned))
