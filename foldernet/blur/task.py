"""Blur mode: what train.py asks of a mode, for a network of one filter."""

import dataclasses
import math
from functools import partial

import keras
import numpy as np

from foldernet import terminal
from foldernet.blur import kernels, scores, spectrum
from foldernet.blur.recipe import Recipe, measure
from foldernet.blur.reference import SMALLEST_WINDOW, KernelEstimate, estimate_kernel
from foldernet.config import Config
from foldernet.data.folders import Dataset
from foldernet.data.pairs import BlurDataGenerator, BlurIterator
from foldernet.data.reader import image_size
from foldernet.files import write_whole
from foldernet.models.single_filter import single_filter
from foldernet.report import kernels as figures
from foldernet.report.figures import FigureLog
from foldernet.terminal import UserError
from foldernet.training import optimizers
from foldernet.training.runs import Run

HELD_OUT_CROPS = 32
MEASURED_CROPS = 128  # whose spectrum sets the loss and the step
ROOM = 1.5  # the filter's size over the kernel's: larger, so that the edge of both isn't the same
SUPPORT = 0.05  # of a first estimate's peak; what is lower may be noise
# Of a blurred image in float32, for a range of 1: what is never determined better than that.
ROUNDING_VARIANCE = 1e-15
NAMED_KERNELS = {
    "gaussian": lambda blur: kernels.gaussian(blur.sigma),
    "motion": lambda blur: kernels.motion(blur.length, blur.angle),
    "disk": lambda blur: kernels.disk(blur.radius),
}


@dataclasses.dataclass(frozen=True)
class MeasuredDataset(Dataset):
    """A data set, and what its pairs say before training.

    Attributes:
        kernel: float64 (size, size), the true one; None for a user's own pairs.
        kernel_size: pixels a side of the filter.
        reference: the kernel by linear regression.
        recipe: the images' own spectrum, and by it loss, prior and step size.
    """

    kernel: np.ndarray | None
    kernel_size: int
    reference: KernelEstimate
    recipe: Recipe


def true_kernel(config: Config) -> np.ndarray | None:
    """The kernel that the config names, float64 (size, size), odd; None for a user's own pairs.

    Raises:
        UserError: no such file, or it is larger than the images.
    """
    if config.blur.pairs:
        return None
    named = NAMED_KERNELS.get(config.blur.kernel)
    kernel = named(config.blur) if named else kernels.from_file(config.blur.kernel)
    _check_size("The kernel", len(kernel), config)
    return kernel


def blur_batches(config: Config, dataset: Dataset) -> dict[str, BlurIterator]:
    """Crops and their blurred versions, (n, size, size, 1) float32 in 0..1; training draws others
    in each epoch, in any of four orientations where the blur is made here."""
    blur, kernel = config.blur, true_kernel(config)
    common = {"kernel": kernel, "noise": blur.noise, "bits": blur.bits, "cache": config.cache}
    # Turned over before the blur, a photograph is as good as another; pairs have to stay as shot.
    generators = {
        "training": BlurDataGenerator(horizontal_flip=True, vertical_flip=True, **common),
        "validation": BlurDataGenerator(**common),
    }
    batches = {}
    for split, generator in generators.items():
        training = split == "training"
        batches[split] = generator.flow_from_directory(
            dataset.splits[split],
            blurred=blur.pairs[1] if blur.pairs else None,
            crops=blur.crops if training else HELD_OUT_CROPS,
            target_size=(config.image_size, config.image_size),
            batch_size=config.batch_size,
            shuffle=training,
            seed=config.seed,
        )
        batches[split].workers = config.workers
    return batches


def measured(config: Config, dataset: Dataset, batches: dict[str, BlurIterator]) -> MeasuredDataset:
    """Measure the images' spectrum and the noise, and with them all that training is set by.

    Nothing here looks at the true kernel but the default size of the filter.
    """
    kernel, training = true_kernel(config), batches["training"]
    held_out = _stacked(_pairs(batches["validation"]))
    size = config.blur.kernel_size
    if size is None and kernel is None:
        size = _support(_reference(config, training, _largest_reference(config), held_out).kernel)
    elif size is None:
        size = min(_odd(ROOM * len(kernel)), _odd(config.image_size - 2))
    if size % 2 == 0:
        raise UserError(f"--kernel-size {size} is even; give an odd one, which has a centre.")
    _check_size("The filter", size, config)

    terminal.status(f"Solving for a kernel of {size}x{size}, the reference, and measuring spectra")
    reference_size = min(size, _largest_reference(config))
    reference = _reference(config, training, reference_size, held_out)
    few = math.ceil(MEASURED_CROPS / config.batch_size)
    sharp = np.concatenate([training.exact(0, i)[0] for i in range(min(few, len(training)))])
    sharp = sharp[..., 0]
    strength = reference.strength if _noisy(config) else 0.0
    return MeasuredDataset(
        dataset.root,
        dataset.classes,
        dataset.splits,
        kernel=kernel,
        kernel_size=size,
        reference=reference,
        recipe=measure(sharp, size, config.batch_size, strength, _margin(config, size)),
    )


def _pairs(iterator: BlurIterator):
    """The pairs of the first epoch, in float64, batch by batch."""
    return (iterator.exact(0, index) for index in range(len(iterator)))


def _stacked(pairs) -> tuple[np.ndarray, np.ndarray]:
    """All sharp and all blurred crops of some batches."""
    sharp, blurred = zip(*pairs, strict=True)
    return np.concatenate(sharp), np.concatenate(blurred)


def _noisy(config: Config) -> bool:
    """Whether the blurred images are anything but exactly what a filter makes of the sharp ones."""
    return bool(config.blur.noise or config.blur.bits or config.blur.pairs)


def _margin(config: Config, size: int) -> int:
    """Pixels at each edge where what lies beyond the frame matters and isn't known."""
    return size // 2 if config.blur.pairs else 0


def _reference(config: Config, training: BlurIterator, size: int, held_out) -> KernelEstimate:
    """`estimate_kernel`, with a prior where there is noise or nothing else converges."""
    estimate = partial(estimate_kernel, kernel_size=size, zero_padded=not config.blur.pairs)
    if not _noisy(config):
        found = estimate(_pairs(training), held_out=held_out, strengths=(0.0,))
        if found.converged:
            return found
    return estimate(_pairs(training), held_out=held_out)


def _largest_reference(config: Config) -> int:
    """The largest odd filter that leaves the reference half of the image to look through."""
    sides = 2 if config.blur.pairs else 1  # of half a filter, on each side of the window
    window = max(config.image_size / 2, SMALLEST_WINDOW + 1)
    return max(1, _odd((config.image_size - window) / sides))


def _support(kernel: np.ndarray) -> int:
    """Half as large again as the centred square outside of which a first estimate is near zero."""
    centre = len(kernel) // 2
    reach = np.abs(np.argwhere(kernel > SUPPORT * kernel.max()) - centre).max()
    return min(_odd(ROOM * (2 * reach + 1)), len(kernel))


def _odd(number: float) -> int:
    """The odd whole number at `number` or next above it."""
    return math.ceil(number) | 1


def _check_size(what: str, size: int, config: Config) -> None:
    if size > config.image_size:
        raise UserError(
            f"{what} is {size}x{size} pixels, and the images only {config.image_size}x"
            f"{config.image_size}. Raise --image-size, or use a smaller one."
        )


def filter_network(config: Config, dataset: MeasuredDataset) -> keras.Model:
    """The network of one filter, with the smoothness prior that the noise asks for."""
    prior = dataset.recipe.prior if config.blur.loss == "whitened" else None
    return single_filter(
        config.image_size, dataset.kernel_size, init=config.blur.init, regularizer=prior
    )


def filter_compile(config: Config, dataset: MeasuredDataset, steps_per_epoch: int):
    """Arguments of `compile`, and the callbacks that change the learning rate."""
    loss = {"whitened": dataset.recipe.loss, "mse": "mse"}[config.blur.loss]
    arguments = {"loss": loss, "metrics": [], "jit_compile": True}
    if config.optimizer is None:
        steps = config.epochs * steps_per_epoch
        return arguments | {"optimizer": dataset.recipe.optimizer(steps)}, []
    optimizer, schedule = optimizers.optimizer(config, steps_per_epoch)
    return arguments | {"optimizer": optimizer}, schedule


def found(config: Config, dataset: MeasuredDataset) -> list[tuple[str, str]]:
    """What the terminal says before the first epoch, besides what it says in every mode."""
    blur, rows = config.blur, []
    if dataset.kernel is not None:
        size = len(dataset.kernel)
        camera = [f"noise {blur.noise:g}"] if blur.noise else []
        camera += [f"{blur.bits} bits"] if blur.bits else []
        rows.append(("kernel", ", ".join([f"{blur.kernel}, {size}x{size}", *camera])))
    reference = dataset.reference
    solved = "converged" if reference.converged else "did not converge"
    rows.append(
        (
            "reference",
            f"{len(reference.kernel)}x{len(reference.kernel)}, {solved} after"
            f" {terminal.count(reference.iterations, 'iteration')}",
        )
    )
    if blur.loss == "whitened" and dataset.recipe.prior:
        rows.append(("prior", f"smoothness, strength {reference.strength:.1e} by hold-out"))
    return rows


def filter_callbacks(
    config: Config, dataset: MeasuredDataset, log: FigureLog
) -> list[keras.callbacks.Callback]:
    """What is watched while the filter grows."""
    return [KernelGrowth(dataset.kernel, log)]


class KernelGrowth(keras.callbacks.Callback):
    """Adds `kernel_error` to each epoch's logs, and draws the filters of all epochs in the end.

    Args:
        true: the kernel sought, for its relative L2 error; None leaves that out.
        log: gets the figure `kernel_growth`.
    """

    kept = ("grown", "errors")

    def __init__(self, true: np.ndarray | None, log: FigureLog):
        super().__init__()
        self.true, self.log = true, log
        self.grown, self.errors = [], []

    def on_epoch_end(self, epoch, logs=None):
        kernel = learnt_kernel(self.model)
        if self.true is not None:
            logs["kernel_error"] = scores.relative_l2(kernel, self.true)
        if np.isfinite(kernel).all():
            self.grown.append(kernel)
            self.errors += [logs["kernel_error"]] if self.true is not None else []

    def on_train_end(self, logs=None):
        if self.grown:
            self.log.show("kernel_growth", figures.growth(self.grown, self.errors))


def learnt_kernel(model: keras.Model) -> np.ndarray:
    """The filter of the network, float64 (size, size)."""
    return keras.ops.convert_to_numpy(model.get_layer("filter").kernel)[:, :, 0, 0].astype(float)


def show_pairs(config: Config, dataset: Dataset, batches: dict, log: FigureLog) -> None:
    """The first training pairs."""
    log.show("training_pairs", figures.pairs(*batches["training"][0]))


def blur_metadata(config: Config, dataset: MeasuredDataset) -> dict:
    """What the model's file says of itself."""
    return {"mode": config.mode, "kernel_size": dataset.kernel_size}


def blur_report(
    config: Config,
    dataset: MeasuredDataset,
    batches: dict[str, BlurIterator],
    model: keras.Model,
    log: FigureLog,
    run: Run,
) -> dict:
    """Score the filter, compare it with the true kernel and the reference, and draw them."""
    learnt, reference = learnt_kernel(model), dataset.reference.kernel
    sharp, blurred = _stacked(_pairs(batches["validation"]))
    predicted = model.predict(sharp, batch_size=config.batch_size, verbose=0)
    margin = _margin(config, len(learnt))
    inside = (slice(None), *2 * [slice(margin, config.image_size - margin)])
    sharp, blurred, predicted = (images[inside] for images in (sharp, blurred, predicted))
    if config.blur.pairs:  # nobody knows their noise; the better of the two filters leaves it
        fit_mse = float(np.mean((predicted - blurred) ** 2))
        noise_variance = min(dataset.reference.holdout_mse, fit_mse)
    else:
        noise_variance = kernels.noise_variance(config.blur.noise, config.blur.bits)
    noise_variance = max(noise_variance, ROUNDING_VARIANCE)
    known = dataset.recipe.power, noise_variance, _pixels(config, dataset, batches)
    band, limit = spectrum.identifiable_band(*known, learnt)
    sentence = what_can_be_known(limit, dataset.recipe.prior is not None)
    _write_kernel(run, learnt)
    kernels_by_name = {"learnt": learnt, "reference": reference}
    if dataset.kernel is not None:
        kernels_by_name = {"true": dataset.kernel, **kernels_by_name}
    log.show("kernels", figures.comparison(kernels_by_name))
    log.show("radial_profile", figures.radial_profile(kernels_by_name))
    log.show("mtf", figures.mtf(kernels_by_name, dataset.recipe.power, limit, sentence))
    log.show("residual", figures.residual(sharp[0], blurred[0], predicted[0]))
    terminal.result(sentence)
    otf_error = spectrum.standard_error(*known, len(learnt))
    return _compared(learnt, dataset, band, otf_error) | {
        "centroid_shift_pixels": scores.centroid_shift_pixels(learnt, dataset.kernel),
        "dc_gain": scores.dc_gain(learnt),
        "fwhm_pixels": scores.fwhm_pixels(learnt),
        "mtf50_cycles_per_pixel": scores.mtf50_cycles_per_pixel(learnt),
        "identifiable_cycles_per_pixel": limit,
        "psnr_holdout": scores.psnr(predicted, blurred),
        "kernel_size": dataset.kernel_size,
        "reference_converged": dataset.reference.converged,
        "what_can_be_known": sentence,
    }


def _compared(
    learnt: np.ndarray, dataset: MeasuredDataset, band: np.ndarray, otf_error: np.ndarray
) -> dict:
    """What only a known kernel tells; without one, how far fit and reference are apart."""
    true, reference = dataset.kernel, dataset.reference.kernel
    if true is None:
        return {"relative_l2_to_reference": scores.relative_l2(learnt, reference)}
    return {
        "relative_l2": scores.relative_l2(learnt, true),
        "relative_l2_reference": scores.relative_l2(reference, true),
        "relative_l2_attainable": scores.attainable_l2(true, otf_error),
        "in_band_otf_error": scores.in_band_otf_error(learnt, true, band),
    }


def _pixels(config: Config, dataset: Dataset, batches: dict[str, BlurIterator]) -> int:
    """Independent pixels seen: noise that is drawn anew counts in every crop, noise that belongs
    to the pixel once."""
    views = config.epochs * config.blur.crops * config.image_size**2
    if config.blur.noise:
        return views
    orientations = 1 if config.blur.pairs else 4
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


def _write_kernel(run: Run, learnt: np.ndarray) -> None:
    """kernel.npy as learnt, and kernel.png with its peak at white and zero or less at black."""

    def write_array(path):
        with open(path, "wb") as file:
            np.save(file, learnt)

    write_whole(run.models / "kernel.npy", write_array)
    write_whole(run.models / "kernel.png", partial(figures.save_kernel, learnt))
