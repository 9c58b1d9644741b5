"""Figures of a classifier: what it is trained on, what it confuses, and what it has learned."""

import math

import keras
import numpy as np
from matplotlib.figure import Figure
from sklearn.metrics import confusion_matrix

from foldernet import terminal
from foldernet.evaluation.figure_log import FigureLog

LABELLED_CLASSES = 30  # beyond it, names and counts in a confusion matrix can't be read
WORST_MISTAKES = 24
SHOWN_IMAGES = 32


def draw_batches(batches, classes: tuple[str, ...], log: FigureLog) -> None:
    """Draw the first batch of the training iterator as the network will see it."""
    images, one_hot = batches[0]
    names = [classes[label] for label in one_hot.argmax(axis=1)[:SHOWN_IMAGES]]
    title = "Training images as the network sees them"
    log.show("training_images", mosaic(images[:SHOWN_IMAGES], names, title))


def mosaic(images: np.ndarray, titles: list[str], heading: str) -> Figure:
    """Images in a grid, each with its title.

    Args:
        images: (n, height, width, channels) in 0..255, 1 or 3 channels; n at least 1.
        titles: one each.
        heading: over all of them.
    """
    rows = math.ceil(len(images) / 8)
    columns = math.ceil(len(images) / rows)
    lines = max(title.count("\n") + 1 for title in titles)
    cell_height = 1.25 + 0.16 * lines
    figure = Figure((max(1.25 * columns, 5), cell_height * rows + 0.5), layout="constrained")
    figure.suptitle(heading, fontsize=11)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes:
        axis.set_axis_off()
    for axis, image, title in zip(axes, images, titles, strict=False):
        pixels = np.clip(image, 0, 255).astype(np.uint8)
        axis.imshow(
            pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels, cmap="gray", vmin=0, vmax=255
        )
        axis.set_title(title, fontsize=7, pad=3)
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
    side = min(3 + 0.42 * len(classes), 14)
    figure = Figure((side + 0.6, side), layout="constrained")
    axis = figure.subplots()
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    drawn = axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(drawn, ax=axis, label="share of the true class", shrink=0.75)
    axis.set(xlabel="predicted", ylabel="true", title=heading)
    if len(classes) <= LABELLED_CLASSES:
        axis.set_xticks(range(len(classes)), classes, rotation=90 if len(classes) > 4 else 0)
        axis.set_yticks(range(len(classes)), classes)
        for (row, column), number in np.ndenumerate(matrix):
            if number:
                color = "white" if shares[row, column] > 0.5 else "black"
                axis.text(column, row, number, ha="center", va="center", color=color, fontsize=8)
    return figure


def mistakes(
    images: np.ndarray, labels: np.ndarray, probabilities: np.ndarray, classes: tuple[str, ...]
) -> Figure:
    """The images that were called something else, as `true -> predicted`, worst first.

    Args:
        images: (n, height, width, channels) in 0..255.
        labels: (n,) int true class indices.
        probabilities: (n, classes).
    """
    predicted = probabilities.argmax(axis=1)
    certainty = probabilities[np.arange(len(labels)), predicted]
    titles = [
        f"{classes[true]}\ncalled {classes[said]}\n{share:.0%}"
        for true, said, share in zip(labels, predicted, certainty, strict=True)
    ]
    return mosaic(images, titles, "Worst mistakes in validation")


def message(text: str) -> Figure:
    """A figure that says why there is nothing to draw."""
    figure = Figure((5, 1.2))
    figure.text(0.5, 0.5, text, ha="center", va="center")
    return figure


def draw_result(
    batches,
    probabilities: np.ndarray,
    classes: tuple[str, ...],
    network: keras.Model,
    log: FigureLog,
) -> None:
    """Draw what a classifier confuses, its worst mistakes, and the filters that it has learned.

    Args:
        batches: the validation iterator.
        probabilities: (n, classes), of its images in their order.
        network: of whatever layers; without a convolution there are no filters to draw.
    """
    labels, predicted = batches.classes, probabilities.argmax(axis=1)
    matrix = confusion_matrix(labels, predicted, labels=range(len(classes)))
    heading = (
        f"Validation: {matrix.trace() / matrix.sum():.1%} of"
        f" {terminal.count(len(labels), 'image')} right"
    )
    log.show("confusion_matrix", confusion(matrix, classes, heading))
    wrong = np.flatnonzero(predicted != labels)
    worst = wrong[np.argsort(-probabilities[wrong].max(axis=1), kind="stable")][:WORST_MISTAKES]
    if len(worst):
        images = batches.images_at(worst)
        figure = mistakes(images, labels[worst], probabilities[worst], classes)
    else:
        figure = message(f"No mistakes in {terminal.count(len(labels), 'validation image')}")
    log.show("worst_mistakes", figure)
    layers = network._flatten_layers()  # those of nested models, too
    first = next((layer for layer in layers if type(layer) is keras.layers.Conv2D), None)
    if first:
        heading = f"Filters of {first.name}"
        log.show("first_layer_filters", filters(first.get_weights()[0], heading))
