"""What a blur run learned: its filter against the true one, in each epoch and in the end."""

import keras
import numpy as np
from PIL import Image

from foldernet import terminal
from foldernet.blur import comparison, spectrum
from foldernet.blur.pairs import stacked
from foldernet.blur.single_filter import learned_kernel
from foldernet.datasets.image_list import Dataset
from foldernet.figures.log import show
from foldernet.files import write_whole
from foldernet.images.reader import read_header
from foldernet.training.runs import Run


class KernelError(keras.callbacks.Callback):
    """Adds `kernel_error` to each epoch's logs: the relative L2 error of the filter.

    Args:
        true: the true kernel.
    """

    def __init__(self, true: np.ndarray):
        super().__init__()
        self.true = true

    def on_epoch_end(self, epoch, logs=None):
        logs["kernel_error"] = comparison.relative_l2(learned_kernel(self.model), self.true)


def report(task, dataset: Dataset, batches: dict, model: keras.Model, run: Run) -> dict:
    """Score the filter of a `foldernet.blur.task.Blur`, compare it with the true kernel and the
    reference, and draw them."""
    options, power = task.options, task.recipe.power
    learned, true, reference = learned_kernel(model), task.kernel, task.reference.kernel
    sharp, blurred = stacked(batches["validation"])
    predicted = model.predict(sharp, batch_size=options.batch_size, verbose=0)
    inside = slice(task.margin, options.image_size - task.margin)
    mse = float(np.mean((predicted - blurred)[:, inside, inside] ** 2))
    if options.pairs:  # nobody knows their noise; the better of the two filters leaves it
        noise = min(task.reference.holdout_mse, mse)
    else:  # rounding adds a twelfth of its squared step
        noise = options.noise**2 + (1 / (2**options.bits - 1) ** 2 / 12 if options.bits else 0)
    known = power, max(noise, spectrum.ROUNDING_VARIANCE), _pixels(options, dataset)
    band, limit = spectrum.identifiable_band(*known, learned)
    sentence = what_can_be_known(limit, task.recipe.prior is not None)
    terminal.result(sentence)

    # As learned, and with its peak at white and zero or less at black.
    write_whole(run.models / "kernel.npy", lambda path: np.save(path, learned))
    shades = np.rint(255 * np.clip(learned / learned.max(), 0, 1)).astype(np.uint8)
    write_whole(run.models / "kernel.png", Image.fromarray(shades).save)
    by_name = {} if true is None else {"true": true}
    by_name |= {"learned": learned, "reference": reference}
    show(run, "kernels", comparison.kernel_figure(by_name))
    show(run, "mtf", comparison.mtf_figure(by_name, power, limit, sentence))

    if true is None:  # how far fit and reference are apart is all that can be told
        compared = {"relative_l2_to_reference": comparison.relative_l2(learned, reference)}
    else:
        otf_error = spectrum.standard_error(*known, len(learned))
        compared = {
            "relative_l2": comparison.relative_l2(learned, true),
            "relative_l2_reference": comparison.relative_l2(reference, true),
            "relative_l2_attainable": comparison.attainable_l2(true, otf_error),
            "in_band_otf_error": comparison.in_band_otf_error(learned, true, band),
        }
    return compared | {
        "centroid_shift_pixels": comparison.centroid_shift_pixels(learned, true),
        "dc_gain": float(learned.sum()),  # what it does to a constant image
        "identifiable_cycles_per_pixel": limit,
        "psnr_holdout": float(-10 * np.log10(mse)),
        "kernel_size": task.kernel_size,
        "reference_converged": task.reference.converged,
        "what_can_be_known": sentence,
    }


def _pixels(options, dataset: Dataset) -> int:
    """Independent pixels seen: noise that is drawn anew counts in every crop, noise that belongs
    to the pixel once."""
    views = options.epochs * options.crops * options.image_size**2
    if options.noise:
        return views
    orientations = 1 if options.pairs else 4
    headers = map(read_header, dataset.splits["training"].paths)
    areas = (header.height * header.width for header in headers)
    return min(views, orientations * sum(areas))


def what_can_be_known(limit: float, prior: bool) -> str:
    """One sentence on the frequencies that the images determine: up to `limit`, in cycles/pixel."""
    if limit >= 0.5:
        return "These images determine the kernel at every frequency."
    return (
        f"These images determine the kernel up to {limit:.2f} cycles/pixel; beyond it, what you"
        f" see is {'the prior' if prior else 'noise'}."
    )
