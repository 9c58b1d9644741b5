"""The blur mode: what train.py asks of it, for a network of one filter."""

import math
import os
from functools import cached_property
from pathlib import Path

import numpy as np

from foldernet.blur.options import BlurOptions
from foldernet.blur.photographs import photographs
from foldernet.datasets import folders
from foldernet.datasets.image_list import Dataset, split_by_content
from foldernet.tasks.task import Task
from foldernet.terminal import UserError, listed, status

HELD_OUT_CROPS = 32
MEASURED_CROPS = 128  # whose spectrum sets the loss and the step
ROOM = 1.5  # the filter's size over the kernel's: larger, so that the edge of both isn't the same
SUPPORT = 0.05  # of a first estimate's peak; what is lower may be noise


class Blur(Task):
    """Learn the filter that turns images into their blurred versions.

    Attributes, from `measure` on:
        kernel_size: pixels per side of the filter.
        margin: pixels at each edge where what lies beyond the frame matters and isn't known.
        reference: the kernel by linear regression.
        recipe: the images' own spectrum, and by it loss, prior and step size.
    """

    Options = BlurOptions
    network_name = "single_filter"
    predictor = "foldernet.blur.predictor:BlurFilter"

    def find_dataset(self):
        """The photographs to blur, or a user's own pairs, of which the sharp ones are listed."""
        options = self.options
        if options.pairs and options.data:
            raise UserError(f"Give either the folder '{options.data}' or --pairs, not both.")
        sharp, blurred = options.pairs or (options.data, None)
        root = Path(sharp or (self.shipped and self.shipped("photos")) or ".").expanduser()
        parts = folders.split_folders(root, of_classes=False) if root.is_dir() else {}
        if not blurred and {"training", "validation"} <= parts.keys():
            splits = {split: photographs(parts[split]) for split in ("training", "validation")}
            return Dataset(root, splits["training"].classes, splits)
        images = photographs(root)
        if blurred:
            others = photographs(blurred.expanduser())
            if alone := sorted(set(images.names) ^ set(others.names)):
                raise UserError(
                    f"'{root}' and '{others.directory}' must hold the same file names, and only one"
                    f" of them has {listed(alone, 3)}."
                )
        splits = split_by_content(images, options.validation_split, options.cache)
        if not len(splits["validation"]):
            raise UserError(f"'{root}' holds one photograph, or only copies of it. Add another.")
        return Dataset(root, images.classes, splits)

    def files(self, dataset):
        found, options = super().files(dataset), self.options
        if options.pairs:
            for name in [*found]:
                found[f"blurred/{name}"] = os.path.join(options.pairs[1], name.partition("/")[2])
        kernel = {"kernel": options.kernel} if os.path.isfile(options.kernel) else {}
        return found | kernel

    def flow(self, images, training, **options):
        """Crops and their blurred versions, (n, size, size, 1) float64 in 0..1. Training draws
        others in each epoch, in any of four orientations where the blur is made here."""
        from foldernet.blur.pairs import BlurDataGenerator

        own = self.options
        # Turned over before the blur, a photograph is as good as another; pairs stay as shot.
        turned = {"horizontal_flip": training, "vertical_flip": training}
        exact = {"dtype": "float64", "cache": own.cache}  # for the reference and the scores
        generator = BlurDataGenerator(self.kernel, own.noise, own.bits, **exact, **turned)
        blurred = own.pairs[1] if own.pairs else None
        crops = own.crops if training else HELD_OUT_CROPS
        return generator.flow_from_directory(images, blurred, crops, **options)

    def measure(self, dataset, batches):
        """Measure the images' spectrum and the noise, and with them all that training is set by.

        Nothing here looks at the true kernel but the default size of the filter.
        """
        from foldernet.blur.pairs import stacked
        from foldernet.blur.recipe import measure
        from foldernet.blur.reference import SMALLEST_WINDOW, estimate_kernel, largest_size

        options, side, training = self.options, self.options.image_size, batches["training"]
        seen = stacked(batches["validation"]), not options.pairs
        window = max(side // 2, SMALLEST_WINDOW)  # half of an image is left to look through
        largest = largest_size(side, window, not options.pairs)
        size = options.kernel_size
        if size is None and options.pairs:
            first = estimate_kernel(training, largest, *seen).kernel
            reach = np.abs(np.argwhere(first > SUPPORT * first.max()) - len(first) // 2).max()
            size = min(math.ceil(ROOM * (2 * reach + 1)) | 1, largest)
        elif size is None:
            size = min(math.ceil(ROOM * len(self.kernel)) | 1, (side - 1) | 1)
        if size % 2 == 0 or size > side:
            raise UserError(f"--kernel-size {size} is even, or more than the images' {side}.")

        status(f"Solving for a kernel of {size}x{size}, the reference, and its spectra")
        self.reference = estimate_kernel(training, min(size, largest), *seen)
        sharp, _ = stacked(training, math.ceil(MEASURED_CROPS / options.batch_size))
        noisy = options.noise or options.bits or options.pairs
        strength = self.reference.strength if noisy and options.loss == "whitened" else 0.0
        self.kernel_size, self.margin = size, size // 2 if options.pairs else 0
        self.recipe = measure(sharp[..., 0], size, options.batch_size, strength, self.margin)

    def network(self, dataset):
        from foldernet.blur.single_filter import single_filter

        options = self.options
        return single_filter(options.image_size, self.kernel_size, options.init, self.recipe.prior)

    def compile_arguments(self, steps_per_epoch, options):
        from foldernet.training import optimizers

        loss = self.recipe.loss if options.loss == "whitened" else "mse"
        if options.optimizer:
            optimizer, schedule = optimizers.optimizer(options, steps_per_epoch)
        else:
            optimizer, schedule = self.recipe.optimizer(options.epochs * steps_per_epoch), []
        return {"optimizer": optimizer, "loss": loss, "jit_compile": True}, schedule

    def facts(self, dataset):
        prior = f"smoothness, strength {self.reference.strength:.1e} by hold-out"
        return [("prior", prior)] if self.recipe.prior else []

    def callbacks(self):
        from foldernet.blur.report import KernelError

        return [] if self.kernel is None else [KernelError(self.kernel)]

    def metadata(self, dataset):
        return {"mode": self.options.mode, "kernel_size": self.kernel_size}

    def report(self, dataset, batches, model, run):
        from foldernet.blur.report import report

        return report(self, dataset, batches, model, run)

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
        size, side = len(kernel), options.image_size
        if size > side:
            raise UserError(
                f"The kernel is {size}x{size} pixels, and the images only {side}x{side}. Raise"
                " --image-size, or use a smaller one."
            )
        return kernel
