"""The blur mode: what train.py asks of it, for a network of one filter."""

import math
import os
from functools import partial
from typing import TYPE_CHECKING

from foldernet import terminal
from foldernet.blur import photographs
from foldernet.blur.options import BlurOptions
from foldernet.tasks.task import Task
from foldernet.terminal import UserError

if TYPE_CHECKING:
    import numpy as np

    from foldernet.blur.pairs import BlurIterator
    from foldernet.blur.reference import KernelEstimate

HELD_OUT_CROPS = 32
MEASURED_CROPS = 128  # whose spectrum sets the loss and the step
ROOM = 1.5  # the filter's size over the kernel's: larger, so that the edge of both isn't the same
SUPPORT = 0.05  # of a first estimate's peak; what is lower may be noise


class Blur(Task):
    """Learn the filter that turns images into their blurred versions.

    Attributes, from `measure` on:
        kernel: float64 (size, size), the true one; None for a user's own pairs.
        kernel_size: pixels per side of the filter.
        reference: the kernel by linear regression.
        recipe: the images' own spectrum, and by it loss, prior and step size.
    """

    Options = BlurOptions
    network_name = "single_filter"

    def find_dataset(self):
        return photographs.find(self.options)

    def files(self, dataset):
        found, options = super().files(dataset), self.options
        if options.pairs:
            folder = os.fspath(options.pairs[1])
            for name in [*found]:
                found[f"blurred/{name}"] = os.path.join(folder, name.partition("/")[2])
        kernel = {"kernel": options.kernel} if os.path.isfile(options.kernel) else {}
        return found | kernel

    def batches(self, dataset):
        """Crops and their blurred versions, (n, size, size, 1) float32 in 0..1. Training draws
        others in each epoch, in any of four orientations where the blur is made here."""
        from foldernet.blur.pairs import BlurDataGenerator

        options = self.options
        common = {"kernel": self._true_kernel(), "noise": options.noise, "bits": options.bits}
        common["cache"] = options.cache
        # Turned over before the blur, a photograph is as good as another; pairs stay as shot.
        turned = {"horizontal_flip": True, "vertical_flip": True}
        batches = {}
        for split in ("training", "validation"):
            training = split == "training"
            generator = BlurDataGenerator(**common, **(turned if training else {}))
            batches[split] = generator.flow_from_directory(
                dataset.splits[split],
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
        import numpy as np

        from foldernet.blur.pairs import first_epoch, stacked
        from foldernet.blur.recipe import measure

        options, training = self.options, batches["training"]
        self.kernel = self._true_kernel()
        held_out = stacked(first_epoch(batches["validation"]))
        size = options.kernel_size
        if size is None and self.kernel is None:
            first = self._reference(training, self._largest_reference(), held_out)
            size = _support(first.kernel)
        elif size is None:
            size = min(_odd(ROOM * len(self.kernel)), _odd(options.image_size - 2))
        if size % 2 == 0:
            raise UserError(f"--kernel-size {size} is even; give an odd one, which has a center.")
        self._check_size("The filter", size)

        terminal.status(f"Solving for a kernel of {size}x{size}, the reference, and its spectra")
        reference_size = min(size, self._largest_reference())
        self.reference = self._reference(training, reference_size, held_out)
        few = min(math.ceil(MEASURED_CROPS / options.batch_size), len(training))
        sharp = np.concatenate([training.exact(0, index)[0] for index in range(few)])[..., 0]
        strength = self.reference.strength if self._noisy else 0.0
        self.kernel_size = size
        self.recipe = measure(sharp, size, options.batch_size, strength, self.margin)

    def network(self, dataset):
        from foldernet.blur.single_filter import single_filter

        options = self.options
        prior = self.recipe.prior if options.loss == "whitened" else None
        return single_filter(
            options.image_size, self.kernel_size, init=options.init, regularizer=prior
        )

    def compile_arguments(self, steps_per_epoch):
        from foldernet.training import optimizers

        options = self.options
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
        size, iterations = len(reference.kernel), terminal.count(reference.iterations, "iteration")
        solved = "converged" if reference.converged else "did not converge"
        facts.append(("reference", f"{size}x{size}, {solved} after {iterations}"))
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

    def _true_kernel(self) -> "np.ndarray | None":
        """The kernel that the options name, float64 (size, size), odd; None for a user's own pairs.

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

    def _reference(self, training: "BlurIterator", size: int, held_out) -> "KernelEstimate":
        """`estimate_kernel`, with a prior where there is noise or nothing else converges."""
        from foldernet.blur.pairs import first_epoch
        from foldernet.blur.reference import estimate_kernel

        estimate = partial(
            estimate_kernel, kernel_size=size, held_out=held_out, zero_padded=not self.options.pairs
        )
        if not self._noisy:
            found = estimate(first_epoch(training), strengths=(0.0,))
            if found.converged:
                return found
        return estimate(first_epoch(training))

    def _largest_reference(self) -> int:
        """The largest odd filter that leaves the reference half of the image to look through."""
        from foldernet.blur.reference import SMALLEST_WINDOW

        image_size = self.options.image_size
        sides = 2 if self.options.pairs else 1  # of half a filter, on each side of the window
        window = max(image_size / 2, SMALLEST_WINDOW + 1)
        return max(1, _odd((image_size - window) / sides))

    def _check_size(self, what: str, size: int) -> None:
        image_size = self.options.image_size
        if size > image_size:
            raise UserError(
                f"{what} is {size}x{size} pixels, and the images only {image_size}x{image_size}."
                " Raise --image-size, or use a smaller one."
            )


def _support(kernel: "np.ndarray") -> int:
    """Half as large again as the centered square outside of which a first estimate is near zero."""
    import numpy as np

    center = len(kernel) // 2
    reach = np.abs(np.argwhere(kernel > SUPPORT * kernel.max()) - center).max()
    return min(_odd(ROOM * (2 * reach + 1)), len(kernel))


def _odd(number: float) -> int:
    """The odd whole number at `number` or next above it."""
    return math.ceil(number) | 1


TASK = Blur
