"""Scores of a classifier: from probabilities to the numbers in metrics.json."""

import keras
import numpy as np

TOP = 5  # more than so many classes make "among the first five" worth knowing


def confusion_matrix(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """How often each true class (row) was called each class (column): (classes, classes) int.

    Args:
        labels, predicted: (n,) int class indices.
        classes: number of classes.
    """
    matrix = np.zeros((classes, classes), int)
    np.add.at(matrix, (labels, predicted), 1)
    return matrix


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
        accuracy and loss; top5_accuracy where there are more than five classes; and per_class:
        precision, recall and f1 (None where the class wasn't predicted, or has no images), images.
    """
    predicted = probabilities.argmax(axis=1)
    one_hot = np.eye(len(classes), dtype="float32")[labels]
    scores = {
        "accuracy": float((predicted == labels).mean()),
        "loss": float(loss(one_hot, probabilities)),
    }
    if len(classes) > TOP:
        true = probabilities[np.arange(len(labels)), labels, None]
        scores["top5_accuracy"] = float(((probabilities > true).sum(axis=1) < TOP).mean())
    matrix = confusion_matrix(labels, predicted, len(classes))
    scores["per_class"] = {
        name: {
            "precision": _share(matrix[index, index], matrix[:, index].sum()),
            "recall": _share(matrix[index, index], matrix[index].sum()),
            "f1": _share(2 * matrix[index, index], matrix[index].sum() + matrix[:, index].sum()),
            "images": int(matrix[index].sum()),
        }
        for index, name in enumerate(classes)
    }
    return scores


def _share(part: int, whole: int) -> float | None:
    return float(part / whole) if whole else None
