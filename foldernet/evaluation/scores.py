"""Scores of a classifier: from probabilities to the numbers in metrics.json."""

import keras
import numpy as np
from sklearn.metrics import classification_report

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
    report = classification_report(
        labels, predicted, labels=range(len(classes)), output_dict=True, zero_division=np.nan
    )
    names = {"precision": "precision", "recall": "recall", "f1": "f1-score"}
    scores["per_class"] = {}
    for index, label in enumerate(classes):
        found = {name: report[str(index)][theirs] for name, theirs in names.items()}
        found = {name: None if np.isnan(value) else value for name, value in found.items()}
        scores["per_class"][label] = found | {"images": int(report[str(index)]["support"])}
    return scores
