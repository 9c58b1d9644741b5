"""Measures of a classifier's probabilities, each by scikit-learn or SciPy where these have it."""

from typing import Any

import numpy as np
from scipy.stats import binomtest
from sklearn.metrics import f1_score, log_loss

from foldernet.evaluation.scores import MANY_CLASSES, TOP, per_class

BINS = 15  # of equal width, by which the calibration error is counted


def measures(labels: np.ndarray, probabilities: np.ndarray, classes: tuple[str, ...]) -> dict:
    """Everything that is said of probabilities and labels.

    Args:
        labels: (n,) int true class indices, n at least 1.
        probabilities: (n, classes) float, each row of which sums to 1.
        classes: names, in the order of the indices.

    Returns:
        accuracy, 0..1, and accuracy_interval, Wilson's of 95 %; balanced_accuracy and macro_f1, of
        the classes that have images; log_loss, natural; brier, the squared distance to the truth,
        0..2; expected_calibration_error; top5_accuracy where there are 20 classes or more; images;
        and per_class, as of `foldernet.evaluation.scores`.
    """
    predicted, there = probabilities.argmax(axis=1), np.unique(labels)
    right = int((predicted == labels).sum())
    interval = binomtest(right, len(labels)).proportion_ci(method="wilson")
    truth, all_classes = np.eye(len(classes))[labels], range(len(classes))
    found = {
        "accuracy": right / len(labels),
        "accuracy_interval": [float(interval.low), float(interval.high)],
        "balanced_accuracy": float(
            np.mean([(predicted[labels == at] == at).mean() for at in there])
        ),
        "macro_f1": float(f1_score(labels, predicted, labels=there, average="macro")),
        "log_loss": float(log_loss(labels, probabilities, labels=all_classes)),
        "brier": float(np.mean(np.sum((probabilities - truth) ** 2, axis=1))),
        "expected_calibration_error": calibration_error(labels, probabilities),
        "images": len(labels),
    }
    if len(classes) >= MANY_CLASSES:
        ranks = (probabilities > probabilities[np.arange(len(labels)), labels][:, None]).sum(axis=1)
        found["top5_accuracy"] = float((ranks < TOP).mean())
    return found | {"per_class": per_class(labels, predicted, classes)}


def reliability(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """What a reliability diagram shows, (bins, 3) float: of each of `BINS` by the first class's
    probability how many images it has, their mean probability, and the share that is right."""
    sure = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    bins = np.minimum((sure * BINS).astype(int), BINS - 1)
    counts, shares, rights = (
        np.bincount(bins, weight, BINS) for weight in (np.ones(len(sure)), sure, right)
    )
    return np.stack(
        [counts, shares / np.maximum(counts, 1), rights / np.maximum(counts, 1)], axis=1
    )


def calibration_error(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """The expected calibration error: how far, on average over images, the share of right answers
    is from the probability that they were given.

    Naeini, Cooper & Hauskrecht (2015), "Obtaining Well Calibrated Probabilities Using Bayesian
    Binning".
    """
    counts, sure, right = reliability(labels, probabilities).T
    return float(np.sum(counts * np.abs(sure - right)) / counts.sum())


def confusions(
    labels: np.ndarray, probabilities: np.ndarray, classes: tuple
) -> list[dict[str, Any]]:
    """Which classes are taken for which, the most frequent first."""
    predicted = probabilities.argmax(axis=1)
    wrong = predicted != labels
    pairs, counts = np.unique(
        np.stack([labels[wrong], predicted[wrong]], axis=1), axis=0, return_counts=True
    )
    order = np.argsort(-counts, kind="stable")
    return [
        {"class": classes[label], "taken_for": classes[other], "images": int(number)}
        for (label, other), number in zip(pairs[order], counts[order], strict=True)
    ]


def differ(right: np.ndarray, other: np.ndarray) -> dict[str, Any]:
    """Whether two classifiers differ beyond chance on the same images, by McNemar's exact test.

    Args:
        right, other: (n,) bool, which images each has right.

    Returns:
        How many images this one alone, and the other alone, has right, and the p value.
    """
    alone, other_alone = int((right & ~other).sum()), int((other & ~right).sum())
    both = alone + other_alone
    p_value = binomtest(alone, both).pvalue if both else 1.0
    return {"right_alone": alone, "other_right_alone": other_alone, "p_value": float(p_value)}
