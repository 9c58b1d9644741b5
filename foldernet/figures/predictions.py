"""predictions.csv: what the best model says of every image that it wasn't trained on."""

from pathlib import Path

import numpy as np

from foldernet.datasets.image_list import Dataset
from foldernet.files import write_csv
from foldernet.terminal import cell

COLUMNS = ("file", "split", "label", "predicted", "probability", "ranking")


def write_predictions(table: Path, dataset: Dataset, batches: dict, outputs: dict) -> None:
    """Write a line for each image, in the order of splits and images.

    `file` is relative to the dataset's folder, with / between its parts. What was predicted is left
    empty of an image that went bad during training, since another one took its place.

    Args:
        batches: split -> iterator.
        outputs: split -> (n, classes) probabilities, of its images in their order.
    """
    rows, classes = [COLUMNS], list(map(cell, dataset.classes))
    for split, probabilities in outputs.items():
        images = batches[split]
        ranks = np.argsort(-probabilities, axis=1, kind="stable")[:, :5]
        for position, (shares, ranked) in enumerate(zip(probabilities, ranks, strict=True)):
            path = images.path(position)
            file = Path(path).relative_to(dataset.root).as_posix()
            rows.append([cell(file), split, classes[images.classes[position]]])
            if path not in images.unreadable:
                ranking = "; ".join(f"{classes[index]} {shares[index]:.3g}" for index in ranked)
                rows[-1] += [classes[ranked[0]], f"{shares[ranked[0]]:.6g}", ranking]
    write_csv(table, rows)
