"""What a mode is: a row of data x model x loss x metrics x report."""

import dataclasses
from collections.abc import Callable

import keras
import numpy as np

from foldernet import terminal
from foldernet.blur import task as blur
from foldernet.config import Config
from foldernet.data.folders import Dataset
from foldernet.data.generator import DirectoryIterator, ImageDataGenerator
from foldernet.models.simpleconv3 import simpleconv3
from foldernet.report import figures, scores
from foldernet.report.figures import FigureLog
from foldernet.training import optimizers
from foldernet.training.runs import Run

CLASSIFIERS = {"simpleconv3": simpleconv3}
MOSAIC_IMAGES = 32
WORST_MISTAKES = 24


@dataclasses.dataclass(frozen=True)
class Task:
    """A mode.

    Attributes:
        batches: (config, data set) -> split name -> iterator for `fit`.
        measure: (config, data set, batches) -> the data set with what training is set by.
        model: (config, data set) -> an untrained network.
        compile: (config, data set, steps in an epoch) -> the arguments of `model.compile`, and the
            callbacks that change the learning rate.
        found: (config, data set) -> what the terminal says before training, as (name, text).
        callbacks: (config, data set, figures) -> what else happens while `fit` runs; what these add
            to the logs, TensorBoard and history.csv have, too.
        monitors: names in Keras's logs that tell which epoch is best, ties decided by the next; a
            leading "-" means lower is better.
        metadata: (config, data set) -> what prediction needs to know, as JSON.
        class_weights: (config, data set) -> what an image of each class counts, or None.
        before: shows the training batches before the first epoch.
        report: (config, data set, batches, best model, figures, run) -> scores for metrics.json.
    """

    batches: Callable[[Config, Dataset], dict[str, keras.utils.PyDataset]]
    measure: Callable[[Config, Dataset, dict], Dataset]
    model: Callable[[Config, Dataset], keras.Model]
    compile: Callable[[Config, Dataset, int], tuple[dict, list[keras.callbacks.Callback]]]
    found: Callable[[Config, Dataset], list[tuple[str, str]]]
    callbacks: Callable[[Config, Dataset, FigureLog], list[keras.callbacks.Callback]]
    monitors: tuple[str, ...]
    metadata: Callable[[Config, Dataset], dict]
    class_weights: Callable[[Config, Dataset], dict[int, float] | None]
    before: Callable[[Config, Dataset, dict, FigureLog], None]
    report: Callable[[Config, Dataset, dict, keras.Model, FigureLog, Run], dict]


def class_batches(config: Config, dataset: Dataset) -> dict[str, DirectoryIterator]:
    """Batches for each split, (n, size, size, channels) uint8 and one-hot labels; training alone is
    shuffled and augmented."""
    common = {"dtype": "uint8", "cache": config.cache}
    augmented = ImageDataGenerator(**dataclasses.asdict(config.augmentation), **common)
    plain = ImageDataGenerator(**common)
    batches = {}
    for split, listing in dataset.splits.items():
        training = split == "training"
        batches[split] = (augmented if training else plain).flow_from_directory(
            listing,
            target_size=(config.image_size, config.image_size),
            color_mode=config.color_mode,
            batch_size=config.batch_size,
            shuffle=training,
            seed=config.seed,
        )
        batches[split].workers = config.workers
    return batches


def classifier(config: Config, dataset: Dataset) -> keras.Model:
    """The network that the config names, for the images and classes at hand."""
    channels = 1 if config.color_mode == "grayscale" else 3
    shape = (config.image_size, config.image_size, channels)
    return CLASSIFIERS[config.model](shape, len(dataset.classes))


def class_metadata(config: Config, dataset: Dataset) -> dict:
    """What a classifier's file carries: its classes, and how its images are read."""
    return {
        "mode": config.mode,
        "classes": list(dataset.classes),
        "size": [config.image_size, config.image_size],
        "color_mode": config.color_mode,
        "interpolation": "area",
        "keep_aspect_ratio": False,
    }


def show_augmented(config: Config, dataset: Dataset, batches: dict, log: FigureLog) -> None:
    """A mosaic of the first training batch, as the network will see it."""
    images, one_hot = batches["training"][0]
    names = [dataset.classes[label] for label in one_hot.argmax(axis=1)[:MOSAIC_IMAGES]]
    figure = figures.mosaic(
        images[:MOSAIC_IMAGES], names, "Training images as the network sees them"
    )
    log.show("training_images", figure)


def class_report(
    config: Config, dataset: Dataset, batches: dict, model: keras.Model, log: FigureLog, run: Run
) -> dict:
    """Score the model on validation, and on test if there is one; draw what it saw and mistook."""
    report = {}
    for split in ("validation", "test"):
        if split in batches and len(dataset.splits[split]):
            labels, probabilities = batches[split].classes, model.predict(batches[split], verbose=0)
            report[split] = scores.classification_scores(
                labels, probabilities, dataset.classes, classification_loss(config)
            )
            if split == "validation":
                _draw(dataset, batches[split], labels, probabilities, model, log)
    return report.pop("validation") | report


def _draw(dataset, batches, labels, probabilities, model, log) -> None:
    matrix = scores.confusion_matrix(labels, probabilities.argmax(axis=1), len(dataset.classes))
    accuracy = matrix.trace() / matrix.sum()
    heading = f"Validation: {accuracy:.1%} of {terminal.count(int(matrix.sum()), 'image')} right"
    log.show("confusion_matrix", figures.confusion(matrix, dataset.classes, heading))
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != labels)
    worst = wrong[np.argsort(-probabilities[wrong].max(axis=1), kind="stable")][:WORST_MISTAKES]
    figure = (
        figures.mistakes(
            batches.images_at(worst), labels[worst], probabilities[worst], dataset.classes
        )
        if len(worst)
        else figures.message(f"No mistakes in {terminal.count(len(labels), 'validation image')}")
    )
    log.show("worst_mistakes", figure)
    first = next(layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D))
    log.show(
        "first_layer_filters", figures.filters(first.get_weights()[0], f"Filters of {first.name}")
    )


def class_compile(config: Config, dataset: Dataset, steps_per_epoch: int):
    """Arguments of `compile`, and the callbacks that change the learning rate."""
    optimizer, schedule = optimizers.optimizer(config, steps_per_epoch)
    arguments = {"loss": classification_loss(config), "metrics": ["accuracy"]}
    return {"optimizer": optimizer, **arguments, **optimizers.execution()}, schedule


def classification_loss(config: Config) -> keras.losses.Loss:
    return keras.losses.CategoricalCrossentropy(label_smoothing=config.label_smoothing)


def class_weights(config: Config, dataset: Dataset) -> dict[int, float] | None:
    """Weights that let each class count the same in all, 1 on average over the images."""
    if config.class_weights == "none":
        return None
    counts = [len(names) for names in dataset.splits["training"].files.values()]
    return {index: sum(counts) / len(counts) / count for index, count in enumerate(counts)}


TASKS = {
    "classify": Task(
        batches=class_batches,
        measure=lambda config, dataset, batches: dataset,
        model=classifier,
        compile=class_compile,
        found=lambda config, dataset: [],
        callbacks=lambda config, dataset, log: [],
        monitors=("val_accuracy", "-val_loss"),
        metadata=class_metadata,
        class_weights=class_weights,
        before=show_augmented,
        report=class_report,
    ),
    "blur": Task(
        batches=blur.blur_batches,
        measure=blur.measured,
        model=blur.filter_network,
        compile=blur.filter_compile,
        found=blur.found,
        callbacks=blur.filter_callbacks,
        monitors=("-val_loss",),
        metadata=blur.blur_metadata,
        class_weights=lambda config, dataset: None,
        before=blur.show_pairs,
        report=blur.blur_report,
    ),
}
