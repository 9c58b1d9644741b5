"""What a mode is: a class with defaults, of which a mode overrides what it does differently."""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from foldernet.datasets import folders
from foldernet.datasets.image_list import Dataset, ImageList
from foldernet.options import TrainOptions

if TYPE_CHECKING:  # TensorFlow takes three seconds; a wrong folder is answered before that
    from pathlib import Path

    import keras

    from foldernet.training.runs import Run

BatchesOfSplits = dict[str, Any]  # split -> iterator of `foldernet.batches`


class Task:
    """A mode of `train.py`; this one reads folders of classes and predicts numbers.

    `train` calls these methods. Those before `augmentation` do without TensorFlow, and the module
    of a mode may not import it, so that `--help` answers at once.

    Attributes:
        Options: the mode's options.
        monitors: names in Keras's logs that tell which epoch is best, ties decided by the next; a
            leading "-" means that lower is better.
        network_name: names a run that the user doesn't name.
        predictor: what opens its models, a `foldernet.inference.predictor.Predictor`, as
            module:class.
        shipped: name -> folder of a set that comes with the project, where these are there.
        options: an instance of `Options`.
        outputs: split -> (n, outputs), what the best model says of its images, once it has reported
            on them.
    """

    Options: ClassVar[type[TrainOptions]] = TrainOptions
    monitors: ClassVar[tuple[str, ...]] = ("-val_loss",)
    network_name = "network"
    predictor = "foldernet.inference.predictor:Predictor"
    shipped: Callable[[str], "Path"] | None = None

    def __init__(self, options: TrainOptions):
        self.options = options
        self.outputs = {}

    @property
    def rule(self) -> dict[str, Any]:
        """How files become pixels, as attributes of `foldernet.images.reader.Rule`."""
        return {"color_mode": "rgb", "interpolation": "area", "keep_aspect_ratio": False}

    def find_dataset(self) -> Dataset:
        """Find the images.

        Raises:
            UserError: they are missing, or not as the mode needs them.
        """
        options = self.options
        root = options.data or (self.shipped and self.shipped("animals")) or "."
        return folders.find(root, options.validation_split, options.cache)

    def files(self, dataset: Dataset) -> dict[str, str]:
        """Every file that a run is made of: a name that stays when the folder moves -> path."""
        return {
            f"{split}/{name}": os.path.join(images.directory, name)
            for split, images in dataset.splits.items()
            for name in images.names
        }

    def augmentation(self) -> dict[str, Any]:
        """Arguments of `ImageDataGenerator` for the training images."""
        return {}

    def batches(self, dataset: Dataset) -> BatchesOfSplits:
        """Batches of each split for `fit`."""
        options, batches = self.options, {}
        size = (options.image_size, options.image_size)
        common = {"target_size": size, "batch_size": options.batch_size, "seed": options.seed}
        for split, images in dataset.splits.items():
            training = split == "training"
            batches[split] = self.flow(images, training, shuffle=training, **common)
            batches[split].workers = options.workers
        return batches

    def flow(self, images: ImageList, training: bool, **options) -> Any:
        """Batches of a split: (n, size, size, channels) uint8 and targets. Only training images are
        augmented.

        Args:
            options: of `foldernet.batches.iterators.DirectoryIterator`.
        """
        from foldernet.batches.generator import ImageDataGenerator

        augmentation = self.augmentation() if training else {}
        generator = ImageDataGenerator(dtype="uint8", cache=self.options.cache, **augmentation)
        return generator.flow_from_directory(images, **self.rule, **options)

    def measure(self, dataset: Dataset, batches: BatchesOfSplits) -> None:
        """Learn from the images what training is set by; nothing by default."""

    def network(self, dataset: Dataset) -> "keras.Model":
        """An untrained network."""
        raise NotImplementedError

    def compile_arguments(self, steps_per_epoch: int, options: TrainOptions) -> tuple[dict, list]:
        """Arguments of `compile`, and the callbacks that set the learning rate.

        Args:
            options: of the stage that is trained; `epochs` are its own.
        """
        from foldernet.training import optimizers

        optimizer, schedule = optimizers.optimizer(options, steps_per_epoch)
        return {"optimizer": optimizer, "loss": "mse", **optimizers.execution()}, schedule

    def class_weight(self, dataset: Dataset) -> Any:
        """How much an image of each class counts, (classes,) float32; None is all the same."""
        return None

    def facts(self, dataset: Dataset) -> list[tuple[str, str]]:
        """What the terminal says of the mode before training, as (name, text)."""
        return []

    def callbacks(self) -> list["keras.callbacks.Callback"]:
        """What else watches `fit`. TensorBoard and history.csv show what these add to the logs."""
        return []

    def metadata(self, dataset: Dataset) -> dict[str, Any]:
        """What the model's file says of itself for prediction, as JSON."""
        return {"mode": self.options.mode, "size": 2 * [self.options.image_size], **self.rule}

    def report(
        self, dataset: Dataset, batches: BatchesOfSplits, model: "keras.Model", run: "Run"
    ) -> dict[str, Any]:
        """Score the best model for metrics.json, and draw what it learned."""
        model.compile(loss="mse")
        return {"loss": float(model.evaluate(batches["validation"], verbose=0))}
