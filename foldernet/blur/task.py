"""The blur mode: what train.py asks of it, for a network of one filter."""

import math
import os
from functools import cached_property

import numpy as np

from foldernet import terminal
from foldernet.blur import photographs
from foldernet.blur.options import BlurOptions
from foldernet.tasks.task import Task
from foldernet.terminal import UserError

HELD_OUT_CROPS = 32
MEASURED_CROPS = 128  # whose spectrum sets the loss and the step
ROOM = 1.5  # the filter's size over the kernel's: larger, so that the edge of both isn't the same
SUPPORT = 0.05  # of a first estimate's peak; what is lower may be noise


class Blur(Task):
    """Learn the filter that turns images into their blurred versions.

    Attributes, from `measure` on:
        kernel_size: pixels per side of the filter.
        reference: the kernel by linear regression.
        recipe: the images' own spectrum, and by it loss, prior and step size.
    """

    Options = BlurOptions
    network_name = "single_filter"

    def find_dataset(self):
        return photographs.find(self.options, self.shipped)

    def files(self, dataset):
        found, options = super().files(dataset), self.options
        if options.pairs:
            for name in [*found]:
                found[f"blurred/{name}"] = os.path.join(options.pairs[1], name.partition("/")[2])
        kernel = {"kernel": options.kernel} if os.path.isfile(options.kernel) else {}
        return found | kernel

    def batches(self, dataset):
        """Crops and their blurred versions, (n, size, size, 1) float32 in 0..1. Training draws
        others in each epoch, in any of four orientations where the blur is made here."""
        from foldernet.blur.pairs import BlurDataGenerator

        options, batches = self.options, {}
        camera = self.kernel, options.noise, options.bits
        for split, images in dataset.splits.items():
            training = split == "training"
            # Turned over before the blur, a photograph is as good as another; pairs stay as shot.
            turned = {"horizontal_flip": training, "vertical_flip": training}
            generator = BlurDataGenerator(*camera, cache=options.cache, **turned)
            batches[split] = generator.flow_from_directory(
                images,
                blurred=options.pairs[1] if options.pairs else None,
                crops=options.crops if training else HELD_OUT_CROPS,
                target_size=(options.image_size, options.image_size),
                batch_size=options.batch_size,
                shuffle=training,
                seed=options.seed,
            )
            batches[split].workers = options.workers
        return batches

    def measure(self, dataset, batches):
        """Measure the images' spectrum and the noise, and with them all that training is set by.

        Nothing here looks at the true kernel but the default size of the filter.
        """
        from foldernet.blur.pairs import first_epoch, stacked
        from foldernet.blur.recipe import measure
        from foldernet.blur.reference import roomy_size

        options, training = self.options, batches["training"]
        held_out = stacked(first_epoch(batches["validation"]))
        size, largest = options.kernel_size, roomy_size(options.image_size, not options.pairs)
        if size is None and self.kernel is None:
            size = _support(self._reference(training, largest, held_out).kernel)
        elif size is None:
            size = min(_odd(ROOM * len(self.kernel)), _odd(options.image_size - 2))
        if size % 2 == 0:
            raise UserError(f"--kernel-size {size} is even; give an odd one, which has a center.")
        self._check_size("The filter", size)

        terminal.status(f"Solving for a kernel of {size}x{size}, the reference, and its spectra")
        self.reference = self._reference(training, min(size, largest), held_out)
        few = min(math.ceil(MEASURED_CROPS / options.batch_size), len(training))
        sharp = np.concatenate([training.exact(0, index)[0] for index in range(few)])[..., 0]
        strength = self.reference.strength if self._noisy else 0.0
        self.kernel_size = size
        self.recipe = measure(sharp, size, options.batch_size, strength, self.margin)

    def network(self, dataset):
        from foldernet.blur.single_filter import single_filter

        options = self.options
        prior = self.recipe.prior if options.loss == "whitened" else None
        return single_filter(options.image_size, self.kernel_size, options.init, prior)

    def compile_arguments(self, steps_per_epoch, options):
        from foldernet.training import optimizers

        loss = self.recipe.loss if options.loss == "whitened" else "mse"
        arguments = {"loss": loss, "metrics": [], "jit_compile": True}
        if options.optimizer is None:
            steps = options.epochs * steps_per_epoch
            return arguments | {"optimizer": self.recipe.optimizer(steps)}, []
        optimizer, schedule = optimizers.optimizer(options, steps_per_epoch)
        return arguments | {"optimizer": optimizer}, schedule

    def facts(self, dataset):
        options, reference, facts = self.options, self.reference, []
        if self.kernel is not None:
            size = len(self.kernel)
            camera = [f"noise {options.noise:g}"] if options.noise else []
            camera += [f"{options.bits} bits"] if options.bits else []
            facts.append(("kernel", ", ".join([f"{options.kernel}, {size}x{size}", *camera])))
        height, width = reference.kernel.shape
        solved = "converged" if reference.converged else "did not converge"
        facts.append(("reference", f"{height}x{width}, {solved}"))
        if options.loss == "whitened" and self.recipe.prior:
            facts.append(("prior", f"smoothness, strength {reference.strength:.1e} by hold-out"))
        return facts

    def show_batches(self, dataset, batches, log):
        from foldernet.blur import kernel_figures

        log.show("training_pairs", kernel_figures.pairs(*batches["training"][0]))

    def callbacks(self, log):
        from foldernet.blur.report import KernelGrowth

        return [KernelGrowth(self.kernel, log)]

    def metadata(self, dataset):
        return {"mode": self.options.mode, "kernel_size": self.kernel_size}

    def report(self, dataset, batches, model, log, run):
        from foldernet.blur.report import report

        return report(self, dataset, batches, model, log, run)

    @staticmethod
    def predictor(path, metadata):
        from foldernet.blur.predictor import BlurFilter

        return BlurFilter(path, metadata)

    @property
    def margin(self) -> int:
        """Pixels at each edge where what lies beyond the frame matters and isn't known."""
        return self.kernel_size // 2 if self.options.pairs else 0

    @property
    def _noisy(self) -> bool:
        """Whether the blurred images are anything but exactly what a filter makes of the sharp
        ones."""
        return bool(self.options.noise or self.options.bits or self.options.pairs)

    @cached_property
    def kernel(self) -> np.ndarray | None:
        """The true kernel, as the options name it, float64 (size, size), odd; None for a user's own
        pairs.

        Raises:
            UserError: no such file, or it is larger than the images.
        """
        from foldernet.blur import kernels

        options = self.options
        if options.pairs:
            return None
        named = {
            "gaussian": lambda: kernels.gaussian(options.sigma),
            "motion": lambda: kernels.motion(options.length, options.angle),
            "disk": lambda: kernels.disk(options.radius),
        }
        kernel = named.get(options.kernel, lambda: kernels.from_file(options.kernel))()
        self._check_size("The kernel", len(kernel))
        return kernel

    def _reference(self, training, size: int, held_out):
        """`estimate_kernel`, with a prior where there is noise or nothing else converges."""
        from foldernet.blur.pairs import first_epoch
        from foldernet.blur.reference import STRENGTHS, estimate_kernel

        zero_padded = not self.options.pairs
        for strengths in [STRENGTHS] if self._noisy else [(0.0,), STRENGTHS]:
            pairs = first_epoch(training)
            found = estimate_kernel(pairs, size, held_out, zero_padded, strengths)
            if found.converged:
                break
        return found

    def _check_size(self, what: str, size: int) -> None:
        image_size = self.options.image_size
        if size > image_size:
            raise UserError(
                f"{what} is {size}x{size} pixels, and the images only {image_size}x{image_size}."
                " Raise --image-size, or use a smaller one."
            )


def _support(kernel: np.ndarray) -> int:
    """Half as large again as the centered square outside of which a first estimate is near zero."""
    center = len(kernel) // 2
    reach = np.abs(np.argwhere(kernel > SUPPORT * kernel.max()) - center).max()
    return min(_odd(ROOM * (2 * reach + 1)), len(kernel))


def _odd(number: float) -> int:
    """The odd whole number at `number` or next above it."""
    return math.ceil(number) | 1


TASK = Blur
