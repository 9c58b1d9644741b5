"""What a person reads of the findings."""

import dataclasses
import itertools
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from foldernet import terminal
from foldernet.checks.quarantine import Finding
from foldernet.datasets.image_list import Dataset

if TYPE_CHECKING:  # it needs OpenCV, which --help should not load
    from foldernet.checks.examine import Examined
    from foldernet.images.store import PixelStore

NAMED = 10  # of each finding
IMBALANCE = 10  # largest class over smallest
MOSTLY = 0.5  # of a class's images


def show(dataset: Dataset, sizes: str, found: list[Finding]) -> None:
    """All that was found, on standard output.

    Args:
        sizes: of the images, in words.
    """
    parts = ", ".join(f"{len(images):,} {split}" for split, images in dataset.splits.items())
    count = terminal.count(sum(map(len, dataset.splits.values())), "image")
    terminal.result(f"{count}: {parts}; {sizes} pixels")
    for kind, alike in itertools.groupby(found, lambda finding: finding.kind):
        texts = [f"{finding.path}: {finding.detail}" for finding in alike]
        terminal.result(f"{kind}: {terminal.count(len(texts), 'image')}\n{_first(texts)}")
    counts = dataset.splits["training"].counts
    if counts.max() >= IMBALANCE * counts.min():
        large, small = (dataset.classes[at] for at in (counts.argmax(), counts.argmin()))
        terminal.result(
            f"imbalanced classes: {counts.max():,} training images of {terminal.printable(large)},"
            f" {counts.min():,} of {terminal.printable(small)}; --class-weights balanced makes them"
            " count the same"
        )
    if not found:
        terminal.result("nothing wrong with any image")


def name_unreadable(errors: list[Exception]) -> None:
    """Warn of files that can't be read."""
    if errors:
        count = terminal.count(len(errors), "file")
        terminal.warn(f"{count} can't be read, and training does without:\n{_first(errors)}")


def name_blank_classes(dataset: Dataset, examined: "Examined", store: "PixelStore") -> None:
    """Warn of classes whose training images are mostly blank as the network sees them, and of the
    backgrounds that mend it where transparency is the cause.

    Args:
        store: of the training images.
    """
    blank = (examined.split == 0) & examined.records["blank"]
    times = np.bincount(examined.label[blank], minlength=len(dataset.classes))
    worst = np.flatnonzero(times > MOSTLY * dataset.splits["training"].counts)
    if len(worst):
        here = np.flatnonzero(blank & np.isin(examined.label, worst))
        mends = _mending([examined.paths[at] for at in here], dataset, store)
        mend = f" They are transparent: try --background {' or '.join(mends)}." if mends else ""
        names = terminal.listed(dataset.classes[label] for label in worst)
        terminal.warn(f"most training images of class {names} are of one color only.{mend}")


def _mending(paths: list[str], dataset: Dataset, store: "PixelStore") -> list[str]:
    """The backgrounds on which most of the images, of which some are tried, aren't blank."""
    from foldernet.checks.levels import MEAN, mean_color, read_sample

    mends = []
    for name in ("white", "gray", "black", MEAN):
        color = mean_color(dataset.splits["training"]) if name == MEAN else name
        rule = dataclasses.replace(store.rule, background=color)
        images = read_sample(paths, store.size, rule)
        if sum(np.ptp(image, axis=(0, 1)).any() for image in images) > MOSTLY * len(images):
            mends.append(name)
    return mends


def count_duplicates(found: list[Finding]) -> None:
    """Warn in one line of what makes validation better than it is, or the labels contradict
    themselves."""
    counts = Counter(finding.kind for finding in found if "duplicate" in finding.kind)
    if counts:
        kinds = ", ".join(f"{kind}: {terminal.count(counts[kind], 'image')}" for kind in counts)
        terminal.warn(f"{kinds}. python check.py names them.")


def _first(texts) -> str:
    """The first few of many texts, a line each."""
    texts = [terminal.printable(str(text)) for text in texts]
    more = [f"and {len(texts) - NAMED:,} more"] if len(texts) > NAMED else []
    return "\n".join(f"  {text}" for text in texts[:NAMED] + more)
