"""All that is found of a dataset's images, as rows for people."""

import math
import os
from collections.abc import Iterator

import cv2
import numpy as np
from PIL import Image

from foldernet.checks.examine import Examined
from foldernet.checks.quarantine import FINDINGS, Finding, relative
from foldernet.datasets.image_list import Dataset
from foldernet.datasets.split import content_hashes
from foldernet.images.reader import FORMATS

TINY_SIDE = 8  # pixels; a shorter side holds next to nothing
ODD_PROPORTIONS = 4.0  # times the usual; a phone's photographs upright and lying differ 3.2 times
# Of the hash's 256 bits. An image saved as JPEG, scaled, brightened or made gray differs in 0 to 14
# bits nearly always; the nearest two of the animals, silhouettes of two bears, in 26, and of
# scikit-learn's digits in 20.
NEAR_BITS = 15


def findings(dataset: Dataset, examined: Examined, cache: str) -> list[Finding]:
    """All findings, in the order of `FINDINGS` and of the images.

    Args:
        cache: as of `ArrayStore`, for the hashes of files' contents.
    """
    unreadable = zip(np.flatnonzero(~examined.readable).tolist(), examined.errors, strict=True)
    found = [
        *((position, error.kind, error.reason) for position, error in unreadable),
        *_exact_duplicates(examined, cache),
        *_oddities(examined),
    ]
    named = {position for position, kind, _ in found if "duplicate" in kind}
    found += (item for item in _near_duplicates(examined) if item[0] not in named)
    order = list(FINDINGS)
    found.sort(key=lambda item: (order.index(item[1]), item[0]))
    names = [relative(path, dataset.root) for path in examined.paths]
    return [
        Finding(names[position], kind, detail if isinstance(detail, str) else names[detail])
        for position, kind, detail in found
    ]


def format_named(path: str) -> str | None:
    """The format that a file's extension stands for, one of `FORMATS`."""
    named = Image.registered_extensions().get(os.path.splitext(path)[1].lower())
    return "JPEG" if named == "MPO" else named  # which an MPO begins with


def _oddities(examined: Examined) -> Iterator[tuple[int, str, str]]:
    """What an image shows by itself or beside the usual one: (position, finding, detail)."""
    known = np.flatnonzero(examined.readable)
    seen = examined.records[known]
    width, height, content = seen["width"], seen["height"], np.array(FORMATS)[seen["format"]]
    proportions = np.log(width / height)
    usual = np.median(proportions) if len(known) else 0
    flags = {
        "wrong extension": content != [format_named(examined.paths[at]) for at in known],
        "tiny": np.minimum(width, height) < TINY_SIDE,
        "blank": seen["blank"],
        "odd proportions": np.abs(proportions - usual) > math.log(ODD_PROPORTIONS),
    }
    for kind, flagged in flags.items():
        for at in np.flatnonzero(flagged):
            yield int(known[at]), kind, f"a {content[at]} file of {width[at]}x{height[at]} pixels"


def _exact_duplicates(examined: Examined, cache: str) -> Iterator[tuple[int, str, int]]:
    """Images with the same bytes in other splits or classes: (position, finding, position of the
    other).

    Args:
        cache: where the hashes of files' contents are kept, as of `ArrayStore`.
    """
    readable = np.flatnonzero(examined.readable)
    # Training hashes them for files.json, too, and they are kept.
    hashes = content_hashes([examined.paths[position] for position in readable], cache)
    order = np.argsort(hashes, kind="stable")
    groups = np.split(readable[order], np.flatnonzero(np.diff(hashes[order])) + 1)
    for group in (group for group in groups if len(group) > 1):
        split, label = examined.split[group], examined.label[group]
        for index, position in enumerate(group.tolist()):
            later, elsewhere = group[split > split[index]], group[label != label[index]]
            if len(later):
                judging = examined.splits[examined.split[later[0]]]
                kind = "also a test image" if split[index] else f"duplicate of a {judging} image"
                yield position, kind, later[0]
            if len(elsewhere):
                yield position, "duplicate in another class", elsewhere[0]


def _near_duplicates(examined: Examined) -> Iterator[tuple[int, str, int]]:
    """Images that look like one of a later split: (position, finding, position of the nearest)."""
    seen = examined.readable & ~examined.records["blank"]
    hashes = examined.records["hash"]
    for split in range(len(examined.splits)):
        ours = np.flatnonzero(seen & (examined.split == split))
        later = np.flatnonzero(seen & (examined.split > split))
        for index, near in nearest(hashes[ours], hashes[later]):
            other = int(later[near])
            judging = examined.splits[examined.split[other]]
            yield int(ours[index]), f"near-duplicate of a {judging} image", other


def nearest(hashes: np.ndarray, others: np.ndarray) -> list[tuple[int, int]]:
    """Which hashes have another within `NEAR_BITS` bits, and the nearest such one.

    Args:
        hashes: (n, 4) uint64.
        others: (m, 4) uint64.

    Returns:
        Pairs of an index of `hashes` and one of `others`.
    """
    if not (len(hashes) and len(others)):
        return []
    as_bytes = hashes.view(np.uint8), others.view(np.uint8)
    bits, at = cv2.batchDistance(*as_bytes, cv2.CV_32S, normType=cv2.NORM_HAMMING, K=1)
    close = np.flatnonzero(bits <= NEAR_BITS)
    return list(zip(close.tolist(), at[close, 0].tolist(), strict=True))
