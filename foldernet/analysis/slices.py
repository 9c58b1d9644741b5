"""Kinds of images on which a classifier is better or worse than on the others, beyond chance."""

import os
from typing import Any

import cv2
import numpy as np
from scipy.stats import fisher_exact

BEYOND_CHANCE = 0.05  # of all slices together: each has to stay below its share of it
FEWEST = 10  # images of a slice


def slices(images: np.ndarray, names: list[str], right: np.ndarray) -> list[dict[str, Any]]:
    """Accuracy of the darkest and brightest thirds, the least and most sharp, and of each folder
    within the class folders.

    Args:
        images: (n, height, width, channels) as the network sees them.
        names: paths of the images, relative to the folder of the split.
        right: (n,) bool.

    Returns:
        Of each slice: slice, images, accuracy, rest (the accuracy of the others), p_value by
        Fisher's exact test, and differs: whether that is beyond chance among so many; the surest
        first.
    """
    gray = images.mean(axis=3, dtype="float32")
    sharp = np.array([cv2.Laplacian(image, cv2.CV_32F).var() for image in gray])
    low, high = (
        np.quantile([gray.mean(axis=(1, 2)), sharp], share, axis=1) for share in (1 / 3, 2 / 3)
    )
    found = {}
    pairs = (("dark", "bright", gray.mean(axis=(1, 2))), ("blurred", "sharp", sharp))
    for at, (less, more, values) in enumerate(pairs):
        found |= {less: values < low[at], more: values > high[at]}
    folders = np.array(["/".join(name.split(os.sep)[1:-1]) for name in names])
    found |= {f"folder {folder}": folders == folder for folder in np.unique(folders) if folder}
    rows = []
    for name, chosen in found.items():
        if FEWEST <= chosen.sum() <= len(right) - FEWEST:
            table = [[(side & hit).sum() for hit in (right, ~right)] for side in (chosen, ~chosen)]
            rows.append(
                {
                    "slice": name,
                    "images": int(chosen.sum()),
                    "accuracy": float(right[chosen].mean()),
                    "rest": float(right[~chosen].mean()),
                    "p_value": float(fisher_exact(table).pvalue),
                }
            )
    for row in rows:
        row["differs"] = row["p_value"] < BEYOND_CHANCE / len(rows)
    return sorted(rows, key=lambda row: row["p_value"])
