"""What a person reads of the findings."""

import itertools
from collections import Counter

from foldernet import terminal
from foldernet.checks.quarantine import Finding
from foldernet.datasets.image_list import Dataset

NAMED = 10  # of each finding
IMBALANCE = 10  # largest class over smallest


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
        ends = (dataset.classes[at] for at in (counts.argmax(), counts.argmin()))
        large, small = map(terminal.printable, ends)
        terminal.result(
            f"imbalanced classes: {counts.max():,} training images of {large}, {counts.min():,} of"
            f" {small}; --class-weights balanced makes them count the same"
        )
    if not found:
        terminal.result("nothing wrong with any image")


def name_unreadable(errors: list[Exception]) -> None:
    """Warn of files that can't be read."""
    if errors:
        count = terminal.count(len(errors), "file")
        terminal.warn(f"{count} can't be read, and training does without:\n{_first(errors)}")


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
