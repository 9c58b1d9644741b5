"""Duplicates of images: the same bytes, or the same look."""

import os
from collections import defaultdict
from collections.abc import Iterator

import numpy as np

from foldernet.checks.examine import Examined
from foldernet.datasets.split import content_hashes
from foldernet.images.threads import threads

EXACT, NEAR = "duplicate of a {} image", "near-duplicate of a {} image"
IN_TEST, OTHER_CLASS = "also a test image", "duplicate in another class"
# Of the hash's 256 bits. An image saved as JPEG, scaled, brightened or made gray differs in 0 to 14
# bits nearly always; the nearest two of the animals, silhouettes of two bears, in 26, and of
# scikit-learn's digits in 20.
NEAR_BITS = 15
PAIRS_AT_ONCE = 2**18  # of hashes, in each thread: what a processor's cache holds


def exact_duplicates(examined: Examined, cache: str) -> Iterator[tuple[int, str, int]]:
    """Images with the same bytes in other splits or classes: (position, finding, position of the
    other).

    Args:
        cache: where the hashes of files' contents are kept, as of `ArrayStore`.
    """
    for group in _same_content(examined, cache):
        # The first image of the group in each split and class; positions count up with splits.
        by_split = {examined.split[position]: position for position in reversed(group)}
        by_label = {examined.label[position]: position for position in reversed(group)}
        for position in group:
            split, label = examined.split[position], examined.label[position]
            if judging := [at for other, at in by_split.items() if other > split]:
                first = min(judging)
                kind = IN_TEST if split else EXACT.format(examined.splits[examined.split[first]])
                yield position, kind, first
            if others := [at for other, at in by_label.items() if other != label]:
                yield position, OTHER_CLASS, min(others)


def _same_content(examined: Examined, cache: str) -> list[list[int]]:
    """Groups of positions whose files have the same bytes."""
    by_size = defaultdict(list)
    for position in np.flatnonzero(examined.readable).tolist():
        try:
            by_size[os.path.getsize(examined.paths[position])].append(position)
        except OSError:
            continue  # it has gone since it was read
    # Only files of one size can be duplicates, and photographs seldom share it.
    alike = [position for same in by_size.values() if len(same) > 1 for position in same]
    groups = defaultdict(list)
    if alike:
        hashes = content_hashes([examined.paths[position] for position in alike], cache)
        for position, content in sorted(zip(alike, hashes.tolist(), strict=True)):
            groups[content].append(position)
    return [group for group in groups.values() if len(group) > 1]


def near_duplicates(examined: Examined, known: set[int]) -> Iterator[tuple[int, str, int]]:
    """Images that look like one of another split: (position, finding, position of the other).

    Args:
        known: positions to pass over, since they have been named already.
    """
    seen = examined.readable & ~examined.records["blank"]
    seen[list(known)] = False
    hashes = examined.records["hash"]
    of_split = [np.flatnonzero(seen & (examined.split == i)) for i in range(len(examined.splits))]
    for index, ours in enumerate(of_split):
        named = set()
        for other in range(index + 1, len(of_split)):
            theirs = of_split[other]
            for position, near in nearest(hashes[ours], hashes[theirs]):
                if position not in named:
                    yield int(ours[position]), NEAR.format(examined.splits[other]), theirs[near]
                named.add(position)


def nearest(hashes: np.ndarray, others: np.ndarray) -> list[tuple[int, int]]:
    """Which hashes have another within `NEAR_BITS` bits, and the nearest such one.

    Args:
        hashes: (n, 4) uint64.
        others: (m, 4) uint64.

    Returns:
        Pairs of an index of `hashes` and one of `others`.
    """
    step = max(1, PAIRS_AT_ONCE // max(1, len(others)))

    def compare(start: int) -> list[tuple[int, int]]:
        bits = np.uint16(0)  # 8 bits would be too few for 256 differences
        for word, other_word in zip(hashes[start : start + step].T, others.T, strict=True):
            bits = bits + np.bitwise_count(word[:, None] ^ other_word)
        close = np.flatnonzero(bits.min(axis=1) <= NEAR_BITS)
        return list(zip((start + close).tolist(), bits[close].argmin(axis=1).tolist(), strict=True))

    starts = range(0, len(hashes) if len(others) else 0, step)
    return [pair for pairs in threads.map(compare, starts) for pair in pairs]
