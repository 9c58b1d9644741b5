"""Measures of a classifier's probabilities, and kinds of images on which it is better or worse than
on the others, each by scikit-learn or SciPy where these have it."""

import os
from collections import Counter

import cv2
import numpy as np
from scipy.stats import binomtest, fisher_exact
from sklearn.metrics import f1_score, log_loss, recall_score, top_k_accuracy_score

from foldernet.evaluation.scores import MANY_CLASSES, TOP, per_class

BINS = 15  # of equal width, by which the calibration error is counted
BEYOND_CHANCE = 0.05  # of all slices together: each has to stay below its share of it
FEWEST = 10  # images of a slice, and of the others


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
        per_class, as of `foldernet.evaluation.scores`; and confusions, a list of class, taken_for
        and images, the most frequent first.
    """
    predicted = probabilities.argmax(axis=1)
    right = int((predicted == labels).sum())
    interval = binomtest(right, len(labels)).proportion_ci(method="wilson")
    truth, indices = np.eye(len(classes))[labels], range(len(classes))
    mean = {"labels": np.unique(labels), "average": "macro", "zero_division": 0}
    found = {
        "accuracy": right / len(labels),
        "accuracy_interval": [float(interval.low), float(interval.high)],
        "balanced_accuracy": float(recall_score(labels, predicted, **mean)),
        "macro_f1": float(f1_score(labels, predicted, **mean)),
        "log_loss": float(log_loss(labels, probabilities, labels=indices)),
        "brier": float(((probabilities - truth) ** 2).sum(axis=1).mean()),
        "expected_calibration_error": calibration_error(labels, probabilities),
        "images": len(labels),
    }
    if len(classes) >= MANY_CLASSES:
        of_top = top_k_accuracy_score(labels, probabilities, k=TOP, labels=indices)
        found["top5_accuracy"] = float(of_top)
    wrong = predicted != labels
    pairs = Counter(zip(labels[wrong].tolist(), predicted[wrong].tolist(), strict=True))
    confusions = [
        {"class": classes[label], "taken_for": classes[other], "images": images}
        for (label, other), images in pairs.most_common()
    ]
    return found | {"per_class": per_class(labels, predicted, classes), "confusions": confusions}


def reliability(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """What a reliability diagram shows, (bins, 3) float: of each of `BINS` by the first class's
    probability how many images it has, their mean probability, and the share that is right."""
    sure, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    bins = np.minimum((sure * BINS).astype(int), BINS - 1)
    sums = [np.bincount(bins, each, BINS) for each in (np.ones(len(sure)), sure, right)]
    return np.stack([sums[0], *(sums[1:] / np.maximum(sums[0], 1))], axis=1)


def calibration_error(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """The expected calibration error: how far, on average over images, the share of right answers
    is from the probability that they were given.

    Naeini, Cooper & Hauskrecht (2015), "Obtaining Well Calibrated Probabilities Using Bayesian
    Binning".
    """
    counts, sure, right = reliability(labels, probabilities).T
    return float(np.average(np.abs(sure - right), weights=counts))


def differ(right: np.ndarray, other: np.ndarray) -> dict:
    """Whether two classifiers differ beyond chance on the same images, by McNemar's exact test.

    Args:
        right, other: (n,) bool, which images each has right.

    Returns:
        The other's accuracy, how many images this one alone, and the other alone, has right, and
        the p value.
    """
    alone, other_alone = int((right & ~other).sum()), int((other & ~right).sum())
    return {
        "other_accuracy": float(other.mean()),
        "right_alone": alone,
        "other_right_alone": other_alone,
        "p_value": float(binomtest(alone, alone + other_alone or 1).pvalue),  # of none, 1
    }


def slices(images, right: np.ndarray) -> list[dict]:
    """Accuracy of the darkest and brightest thirds, the least and most sharp, and of each folder
    within the class folders.

    Args:
        images: a `foldernet.batches.iterators.DirectoryIterator`.
        right: (n,) bool, which of them are.

    Returns:
        Of each slice: slice, images, accuracy, rest (the accuracy of the others), p_value by
        Fisher's exact test, and differs: whether that is beyond chance among so many (Bonferroni);
        the surest first.
    """
    grays = (images.images_at([at])[0].mean(axis=2, dtype="float32") for at in range(images.n))
    looks = np.array([(gray.mean(), cv2.Laplacian(gray, cv2.CV_32F).var()) for gray in grays])
    low, high = np.quantile(looks, (1 / 3, 2 / 3), axis=0)
    less, more = (looks < low).T, (looks > high).T
    kinds = {"dark": less[0], "bright": more[0], "blurred": less[1], "sharp": more[1]}
    folders = np.array(["/".join(name.split(os.sep)[1:-1]) for name in images.filenames])
    kinds |= {f"folder {folder}": folders == folder for folder in np.unique(folders) if folder}
    most = len(right) - FEWEST
    kinds = {name: chosen for name, chosen in kinds.items() if FEWEST <= chosen.sum() <= most}
    rows = []
    for name, chosen in kinds.items():
        sides = right[chosen], right[~chosen]
        p_value = fisher_exact([[side.sum(), (~side).sum()] for side in sides]).pvalue
        rows.append(
            {
                "slice": name,
                "images": int(chosen.sum()),
                "accuracy": float(sides[0].mean()),
                "rest": float(sides[1].mean()),
                "p_value": float(p_value),
                "differs": bool(p_value < BEYOND_CHANCE / len(kinds)),
            }
        )
    return sorted(rows, key=lambda row: row["p_value"])
