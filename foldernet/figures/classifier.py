"""What comes of a classifier: what it is trained on, what it confuses, and what it has learned."""

import functools
import math
from pathlib import Path

import keras
import numpy as np
from matplotlib.figure import Figure
from sklearn.metrics import confusion_matrix

from foldernet import files, networks, terminal
from foldernet.datasets.image_list import Dataset
from foldernet.figures.log import STYLE, drawable, fitted, show
from foldernet.tasks.classify import Classify
from foldernet.tasks.task import Task
from foldernet.training.runs import Run

LABELLED_CLASSES = 30  # beyond it, names and counts in a confusion matrix can't be read
LABEL_WIDTH = 2.2  # inches that a name may take there
WORST_MISTAKES = 24
SHOWN_IMAGES = 32
COLUMNS = ("file", "split", "label", "predicted", "probability", "ranking")


def draw_batches(task: Task, dataset: Dataset, batches: dict, run: Run) -> None:
    """Draw the first training batch of a classifier as the network will see it, and say which
    names of classes no font can show."""
    if not isinstance(task, Classify):
        return
    images, one_hot, *_ = batches["training"][0]  # and weights, perhaps
    labels, names = drawable(dataset.classes, "class"), map(terminal.printable, dataset.classes)
    pairs = zip(labels, names, strict=True)
    if numbered := [f"{label} is '{name}'" for label, name in pairs if label != name]:
        terminal.warn(f"no font has some classes. In figures, {terminal.listed(numbered)}.")
    titles = [labels[index] for index in one_hot.argmax(axis=1)[:SHOWN_IMAGES]]
    heading = "Training images as the network sees them"
    show(run, "training_images", mosaic(images[:SHOWN_IMAGES], titles, heading))


def mosaic(images: np.ndarray, titles: list[str], heading: str) -> Figure:
    """Images in a grid, each with its title.

    Args:
        images: (n, height, width, channels) in 0..255, 1 or 3 channels; n at least 1.
        titles: one each, of one or more lines.
        heading: over all of them.
    """
    rows = math.ceil(len(images) / 8)
    columns = math.ceil(len(images) / rows)
    lines = max(title.count("\n") + 1 for title in titles)
    # In inches, from the upper left corner on: the heading, then each row's titles and images.
    top, above = 0.26, 0.12 + 0.15 * lines
    width = max(1.25, 5 / columns)
    pixel = min((width - 0.1) / images.shape[2], 1.6 / images.shape[1])
    tall, wide = images.shape[1] * pixel, images.shape[2] * pixel
    size = width * columns, top + rows * (above + tall) + 0.05
    figure = Figure(size)
    figure.suptitle(heading, y=1 - 0.06 / size[1], fontsize=11, parse_math=False)
    # One for all images: to make an axes takes ten times as long as to draw an image.
    axis = figure.add_axes((0, 0, 1, 1), xlim=(0, size[0]), ylim=(size[1], 0))
    axis.set_axis_off()
    style = {"fontsize": 7, "ha": "center", "va": "bottom", **STYLE}
    short = functools.cache(lambda line: fitted(line, width - 0.1, **style))

    for at, (image, title) in enumerate(zip(images, titles, strict=True)):
        row, column = divmod(at, columns)
        x, y = width * (column + 0.5), top + row * (above + tall) + above
        pixels = np.broadcast_to(np.clip(image, 0, 255).astype(np.uint8), (*image.shape[:2], 3))
        extent = x - wide / 2, x + wide / 2, y + tall, y
        axis.imshow(pixels, aspect="auto", extent=extent)
        axis.text(x, y - 0.04, "\n".join(map(short, title.split("\n"))), **style)
    return figure


def filters(kernels: np.ndarray, heading: str) -> Figure:
    """The filters of a first convolution, on one scale on which gray is zero.

    Args:
        kernels: (height, width, channels, filters); three channels are shown as colors.
    """
    reach = np.abs(kernels).max() or 1.0
    scaled = 127.5 + 127.5 * np.moveaxis(kernels, 3, 0) / reach
    if scaled.shape[-1] != 3:
        scaled = scaled.mean(axis=-1, keepdims=True)
    return mosaic(scaled, [str(index) for index in range(len(scaled))], heading)


def confusion(matrix: np.ndarray, classes: tuple[str, ...], heading: str) -> Figure:
    """A confusion matrix: rows are the true classes, shades the share of a row, numbers images.

    Args:
        matrix: (classes, classes) int, as sklearn's `confusion_matrix` counts.
    """
    names = drawable(classes if len(classes) <= LABELLED_CLASSES else (), "class")
    labels = [fitted(name, LABEL_WIDTH, **STYLE) for name in names]
    side, room = min(3 + 0.42 * len(classes), 14), 0.08 * max(map(len, labels), default=0)
    figure = Figure((side + 0.6 + room, side + room), layout="constrained")
    axis = figure.subplots()
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    drawn = axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(drawn, ax=axis, label="share of the true class", shrink=0.75)
    axis.set(xlabel="predicted", ylabel="true", title=heading)
    if labels:
        axis.set_xticks(range(len(classes)), labels, rotation=90, **STYLE)
        axis.set_yticks(range(len(classes)), labels, **STYLE)
        style = {"ha": "center", "va": "center", "fontsize": 8}
        for row, column in np.argwhere(matrix):
            color = "white" if shares[row, column] > 0.5 else "black"
            axis.text(column, row, matrix[row, column], color=color, **style)
    return figure


def mistakes(batches, probabilities: np.ndarray, classes: tuple[str, ...]) -> Figure:
    """The images that were called something else, worst first: above each its file's name, true
    class, predicted class and its probability.

    Args:
        batches: the iterator of the images.
        probabilities: (n, classes), of its images in their order.
    """
    predicted, certainty = probabilities.argmax(axis=1), probabilities.max(axis=1)
    wrong = np.flatnonzero(predicted != batches.classes)
    worst = wrong[np.argsort(-certainty[wrong], kind="stable")][:WORST_MISTAKES]
    if not len(worst):
        figure, images = Figure((5, 1.2)), terminal.count(len(predicted), "validation image")
        figure.text(0.5, 0.5, f"No mistakes in {images}", ha="center", va="center")
        return figure
    names = drawable(classes, "class")
    named = drawable([Path(name).name for name in batches.filenames], "file")
    labels, called = batches.classes, "{}\n{}\ncalled {}\n{:.0%}"
    titles = [
        called.format(named[at], names[labels[at]], names[predicted[at]], certainty[at])
        for at in worst
    ]
    return mosaic(batches.images_at(worst), titles, "Worst mistakes in validation")


def write_predictions(table: Path, dataset: Dataset, batches: dict, outputs: dict) -> None:
    """Write what the best model says of every image that it wasn't trained on, a line each.

    `file` is relative to the dataset's folder, with / between its parts. What was predicted is left
    empty of an image that went bad during training, since another one took its place. Lines are in
    the order of splits and images.

    Args:
        batches: split -> iterator.
        outputs: split -> (n, classes) probabilities, of its images in their order.
    """
    rows, classes = [COLUMNS], list(map(terminal.cell, dataset.classes))
    for split, probabilities in outputs.items():
        images = batches[split]
        ranks = np.argsort(-probabilities, axis=1, kind="stable")[:, :5]
        for position, (shares, ranked) in enumerate(zip(probabilities, ranks, strict=True)):
            path = images.path(position)
            file = Path(path).relative_to(dataset.root).as_posix()
            rows.append([terminal.cell(file), split, classes[images.classes[position]]])
            if path not in images.unreadable:
                ranking = "; ".join(f"{classes[index]} {shares[index]:.3g}" for index in ranked)
                rows[-1] += [classes[ranked[0]], f"{shares[ranked[0]]:.6g}", ranking]
    files.write_csv(table, rows)


def draw_result(task: Task, dataset: Dataset, batches: dict, model: keras.Model, run: Run) -> None:
    """Write every prediction of a classifier down, and draw what it confuses, its worst mistakes,
    and the filters that it has learned.

    Args:
        task: which has reported.
        batches: split -> iterator.
        model: of whatever layers; without a convolution there are no filters to draw.
    """
    if not isinstance(task, Classify):
        return
    outputs = task.outputs
    write_predictions(run.models / "predictions.csv", dataset, batches, outputs)
    classes, labels = dataset.classes, batches["validation"].classes
    predicted = outputs["validation"].argmax(axis=1)
    matrix = confusion_matrix(labels, predicted, labels=range(len(classes)))
    images = terminal.count(len(labels), "image")
    heading = f"Validation: {matrix.trace() / len(labels):.1%} of {images} right"
    show(run, "confusion_matrix", confusion(matrix, classes, heading))
    show(run, "worst_mistakes", mistakes(batches["validation"], outputs["validation"], classes))
    layers = [getattr(each, "layer", each) for each in networks.leaves(model)]  # or what it wraps
    if first := next((each for each in layers if type(each) is keras.layers.Conv2D), None):
        heading = f"Filters of {first.name}"
        show(run, "first_layer_filters", filters(first.get_weights()[0], heading))
