"""Scores of a classifier: from probabilities to the numbers in metrics.json."""

import keras
import numpy as np
from sklearn.metrics import precision_recall_fscore_support

# Among the first five of a few classes, the right one nearly always is.
TOP, MANY_CLASSES = 5, 20


def classification_scores(
    labels: np.ndarray, probabilities: np.ndarray, classes: tuple[str, ...], loss: keras.losses.Loss
) -> dict:
    """Score predictions.

    Args:
        labels: (n,) int true class indices.
        probabilities: (n, classes) float.
        classes: names, in the order of the indices.
        loss: of one-hot labels and probabilities; as in training, so that the numbers compare.

    Returns:
        accuracy and loss; top5_accuracy where there are 20 classes or more; and `per_class`.
    """
    predicted = probabilities.argmax(axis=1)
    scores = {
        "accuracy": float((predicted == labels).mean()),
        "loss": float(loss(keras.ops.one_hot(labels, len(classes)), probabilities)),
    }
    if len(classes) >= MANY_CLASSES:
        scores["top5_accuracy"] = float(np.mean(keras.ops.in_top_k(labels, probabilities, TOP)))
    return scores | {"per_class": per_class(labels, predicted, classes)}


def per_class(labels: np.ndarray, predicted: np.ndarray, classes: tuple[str, ...]) -> dict:
    """Of each class precision (None where it wasn't predicted), recall (None where it has no
    images), f1 (None where both are), and images."""
    *shares, counts = precision_recall_fscore_support(
        labels, predicted, labels=range(len(classes)), zero_division=np.nan
    )
    rows = np.where(np.isnan(shares), None, shares).T
    return {
        label: {"precision": precision, "recall": recall, "f1": f1, "images": int(images)}
        for label, (precision, recall, f1), images in zip(classes, rows, counts, strict=True)
    }
