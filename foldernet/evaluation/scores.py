"""Scores of a classifier: from probabilities to the numbers in metrics.json."""

import keras
import numpy as np
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

TOP = 5  # with more classes, "among the first five" is worth knowing


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
    one_hot = np.eye(len(classes), dtype="float32")[labels]
    predicted = probabilities.argmax(axis=1)
    scores = {
        "accuracy": float((predicted == labels).mean()),
        "loss": float(loss(one_hot, probabilities)),
    }
    if len(classes) > TOP:
        true = probabilities[np.arange(len(labels)), labels, None]
        scores["top5_accuracy"] = float(((probabilities > true).sum(axis=1) < TOP).mean())
    indices = range(len(classes))
    *shares, images = precision_recall_fscore_support(
        labels, predicted, labels=indices, zero_division=np.nan
    )
    scores["per_class"] = {
        name: {
            **{
                score: None if np.isnan(share[index]) else float(share[index])
                for score, share in zip(("precision", "recall", "f1"), shares, strict=True)
            },
            "images": int(images[index]),
        }
        for index, name in enumerate(classes)
    }
    return scores


def confusions(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """How often each true class (row) was called each class (column): (classes, classes) int."""
    return confusion_matrix(labels, predicted, labels=range(classes))
