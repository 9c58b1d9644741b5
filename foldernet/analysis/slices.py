"""Kinds of images on which a classifier is better or worse than on the others, beyond chance."""

import os

import cv2
import numpy as np
from scipy.stats import fisher_exact

BEYOND_CHANCE = 0.05  # of all slices together: each has to stay below its share of it
FEWEST = 10  # images of a slice, and of the others


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
