"""All that is found of a dataset's images, as rows for people."""

import math
import os
from collections.abc import Iterator

import numpy as np

from foldernet import terminal
from foldernet.checks import duplicates, quarantine
from foldernet.checks.examine import Examined
from foldernet.checks.quarantine import FINDINGS, Finding
from foldernet.datasets.image_list import Dataset
from foldernet.images.reader import FORMATS

TINY_SIDE = 8  # pixels; a shorter side holds next to nothing
ODD_PROPORTIONS = 4.0  # times the usual; a phone's photographs upright and lying differ 3.2 times
IMBALANCE = 10.0  # largest class over smallest
# File extension -> format, where it isn't its name.
ALSO_NAMED = {"tif": "TIFF", "apng": "PNG", "heic": "HEIF", "hif": "HEIF"}
ALSO_NAMED |= dict.fromkeys(("jpg", "jpe", "jfif", "mpo"), "JPEG")
ALSO_NAMED |= dict.fromkeys(("pgm", "pbm", "pnm"), "PPM")


def findings(dataset: Dataset, examined: Examined, cache: str) -> list[Finding]:
    """All findings, in the order of `FINDINGS` and of the images.

    Args:
        cache: as of `ArrayStore`, for the hashes of files' contents.
    """
    found = [
        *((position, error.kind, error.reason) for position, error in examined.errors.items()),
        *duplicates.exact_duplicates(examined, cache),
        *_oddities(examined),
    ]
    named = {position for position, kind, _ in found if "duplicate" in kind}
    found += duplicates.near_duplicates(examined, named)
    order = list(FINDINGS)
    found.sort(key=lambda item: (order.index(item[1]), item[0]))

    def path(position: int) -> str:
        return quarantine.relative(examined.paths[position], dataset.root)

    return [
        Finding(path(position), kind, detail if isinstance(detail, str) else path(detail))
        for position, kind, detail in found
    ]


def format_named(path: str) -> str:
    """The format that a file's extension stands for, one of `FORMATS`."""
    extension = os.path.splitext(path)[1][1:].lower()
    return ALSO_NAMED.get(extension, extension.upper())


def _oddities(examined: Examined) -> Iterator[tuple[int, str, str]]:
    """What an image shows by itself or beside the usual one: (position, finding, detail)."""
    known = np.flatnonzero(examined.readable)
    seen = examined.records[known]
    named = [FORMATS.index(format_named(examined.paths[position])) for position in known]
    proportions = np.log(seen["width"] / np.maximum(seen["height"], 1))
    usual = np.median(proportions) if len(known) else 0
    size = "{width}x{height} pixels"
    flags = {
        "wrong extension": (seen["format"] != named, "a {format} file by its content"),
        "tiny": (np.minimum(seen["width"], seen["height"]) < TINY_SIDE, size),
        "blank": (seen["blank"], "all pixels are alike"),
        "odd proportions": (np.abs(proportions - usual) > math.log(ODD_PROPORTIONS), size),
    }
    for kind, (flagged, detail) in flags.items():
        for position, record in zip(known[flagged].tolist(), seen[flagged], strict=True):
            width, height, form = record["width"], record["height"], FORMATS[record["format"]]
            yield position, kind, detail.format(width=width, height=height, format=form)


def imbalance(dataset: Dataset) -> str | None:
    """One sentence on classes of very different sizes, or None."""
    training = dataset.splits["training"]
    small, large = training.counts.argmin(), training.counts.argmax()
    if training.counts[large] < IMBALANCE * training.counts[small]:
        return None
    return (
        f"imbalanced classes: {training.counts[large]:,} training images of"
        f" {terminal.printable(dataset.classes[large])}, {training.counts[small]:,} of"
        f" {terminal.printable(dataset.classes[small])}; --class-weights balanced makes them"
        " count the same"
    )
