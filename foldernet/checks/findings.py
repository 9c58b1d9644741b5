"""All that is found of a dataset's images, as rows for people.

What has to be known of each image is learned from the one decoding that training needs anyway, and
kept in the user's cache like the pixels.
"""

import os
from collections.abc import Callable, Iterator
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from foldernet import terminal
from foldernet.checks.quarantine import FINDINGS, Finding, relative
from foldernet.datasets.image_list import Dataset, content_hashes
from foldernet.images import threads
from foldernet.images.reader import FORMATS, Header, ImageError
from foldernet.images.store import ArrayStore

TINY_SIDE = 8  # pixels; a shorter side holds next to nothing
# Of the hash's 256 bits. An image saved as JPEG, scaled, brightened or made gray differs in 0 to 14
# bits nearly always; the nearest two of the animals, silhouettes of two bears, in 26, and of
# scikit-learn's digits in 20.
NEAR_BITS = 15
# Of ImageHash's perceptual hash: 256 bits, since 64 can't tell one silhouette from another.
HASH_SIDE = 16
HASH_FACTOR = 3  # it looks at 48x48 pixels, the size that images are read at by default
RECORD = np.dtype(
    [
        ("hash", np.uint64, HASH_SIDE**2 // 64),  # alike for images that look alike
        ("height", np.uint32),  # pixels, of the file
        ("width", np.uint32),
        ("format", np.uint8),  # of the content, as an index of FORMATS
        ("blank", np.bool_),  # all pixels that the network sees are alike
    ]
)


class Examined(NamedTuple):
    """The images of all splits, one after the other, and what was found in them.

    Attributes:
        paths: of the n files.
        names: the same, as `Finding` has them.
        splits: names, in the order of their indices.
        split: (n,) int, the index of each image's split.
        label: (n,) int, the index of its class.
        records: (n,) of `RECORD`; zeros where a file can't be read.
        errors: why a file can't be read, of each such file.
    """

    paths: list[str]
    names: list[str]
    splits: tuple[str, ...]
    split: np.ndarray
    label: np.ndarray
    records: np.ndarray
    errors: list[ImageError]

    @property
    def readable(self) -> np.ndarray:
        """Which files could be read: (n,) bool."""
        return self.records["height"] > 0

    @property
    def sizes(self) -> str:
        """`28x28`, or `100x80 to 4000x3000`, the smallest and the largest: width x height."""
        known = self.records[self.readable][["width", "height"]].tolist()
        sizes = sorted(set(known), key=np.prod)
        ends = [f"{width}x{height}" for width, height in sizes[:1] + sizes[1:][-1:]]
        return " to ".join(ends) or "none that can be read"


def examine(dataset: Dataset, stores: dict, mode: str) -> tuple[Examined, list[Finding]]:
    """Read every image that isn't known yet, into the stores.

    Args:
        stores: split -> the `PixelStore` of its images, or what acts like one.
        mode: as of `ArrayStore`, for the records and for the hashes of files' contents.

    Returns:
        The images, and all findings, in the order of `FINDINGS` and of the images.
    """
    found = [_records(store, mode, f"Reading {split} images") for split, store in stores.items()]
    lists = [dataset.splits[split] for split in stores]
    paths = [path for images in lists for path in images.paths]
    examined = Examined(
        paths=paths,
        names=[relative(path, dataset.root) for path in paths],
        splits=tuple(stores),
        split=np.repeat(np.arange(len(lists)), list(map(len, lists))),
        label=np.concatenate([images.labels for images in lists]),
        records=np.concatenate([records for records, _ in found]),
        errors=[error for _, errors in found for error in errors],
    )
    return examined, _findings(examined, mode)


def _records(store, mode: str, doing: str) -> tuple[np.ndarray, list[ImageError]]:
    """The records of a store's images, and the errors of those that have none."""

    def make(position: int) -> np.ndarray:
        pixels, header = store.read(position)
        store.row(position, lambda _: pixels)  # which keeps them, for training
        return np.frombuffer(_record(pixels, header, imagehash.phash).tobytes(), np.uint8)

    kept = "memory" if mode == "off" else mode
    purpose = f"records 1 of {store.purpose}"
    records = ArrayStore(len(store), store.path_of, make, (RECORD.itemsize,), purpose, kept)
    unknown = set(records.missing.tolist())
    if unknown:  # known images need neither it nor SciPy: half a second, no part of an image's time
        import imagehash
    wanted = np.union1d(records.missing, store.missing).astype(int).tolist()

    def look(position: int) -> np.ndarray | ImageError:
        return (records if position in unknown else store).row(position)

    rows = terminal.progress(threads.map(look, wanted), doing, len(wanted))
    errors = {at: row for at, row in zip(wanted, rows, strict=True) if isinstance(row, ImageError)}
    records.flush()
    store.flush()
    found = np.zeros(len(store), RECORD)
    known = np.delete(np.arange(len(store)), list(errors))
    if len(known):
        found[known] = np.array(records.rows(known)).view(RECORD)[:, 0]
    return found, list(errors.values())


def _record(pixels: np.ndarray, header: Header, phash: Callable) -> np.ndarray:
    """A `RECORD` of an image, (height, width, channels) uint8, by ImageHash's perceptual hash."""
    # Of a pair of photographs, and of one that is gray, the first channel stands for the image.
    seen = pixels if pixels.shape[2] == 3 else pixels[..., 0]
    bits = phash(Image.fromarray(seen), HASH_SIDE, HASH_FACTOR).hash
    words = np.packbits(bits).view(np.uint64)
    form, blank = FORMATS.index(header.format), (pixels == pixels[:1, :1]).all()
    return np.array((words, header.height, header.width, form, blank), RECORD)


def _findings(examined: Examined, mode: str) -> list[Finding]:
    unreadable = zip(np.flatnonzero(~examined.readable).tolist(), examined.errors, strict=True)
    found = [
        *((position, error.kind, error.reason) for position, error in unreadable),
        *_exact_duplicates(examined, mode),
        *_oddities(examined),
    ]
    named = {position for position, kind, _ in found if "duplicate" in kind}
    found += (item for item in _near_duplicates(examined) if item[0] not in named)
    order = list(FINDINGS)
    found.sort(key=lambda item: (order.index(item[1]), item[0]))
    return [Finding(examined.names[position], kind, detail) for position, kind, detail in found]


def format_named(path: str) -> str | None:
    """The format that a file's extension stands for, one of `FORMATS`."""
    named = Image.registered_extensions().get(os.path.splitext(path)[1].lower())
    return "JPEG" if named == "MPO" else named  # which an MPO begins with


def _oddities(examined: Examined) -> Iterator[tuple[int, str, str]]:
    """What an image shows by itself: (position, finding, detail)."""
    known = np.flatnonzero(examined.readable)
    seen = examined.records[known]
    width, height, content = seen["width"], seen["height"], np.array(FORMATS)[seen["format"]]
    flags = {
        "wrong extension": content != [format_named(examined.paths[at]) for at in known],
        "tiny": np.minimum(width, height) < TINY_SIDE,
        "blank": seen["blank"],
    }
    for kind, flagged in flags.items():
        for at in np.flatnonzero(flagged):
            yield int(known[at]), kind, f"a {content[at]} file of {width[at]}x{height[at]} pixels"


def _exact_duplicates(examined: Examined, mode: str) -> Iterator[tuple[int, str, str]]:
    """Images with the same bytes in other splits or classes: (position, finding, name of the
    other)."""
    readable = np.flatnonzero(examined.readable)
    # Training hashes them for files.json, too, and they are kept.
    hashes = content_hashes([examined.paths[position] for position in readable], mode)
    order = np.argsort(hashes, kind="stable")
    groups = np.split(readable[order], np.flatnonzero(np.diff(hashes[order])) + 1)
    for group in (group for group in groups if len(group) > 1):
        split, label = examined.split[group], examined.label[group]
        for index, position in enumerate(group.tolist()):
            later, elsewhere = group[split > split[index]], group[label != label[index]]
            if len(later):
                judging = examined.splits[examined.split[later[0]]]
                kind = "also a test image" if split[index] else f"duplicate of a {judging} image"
                yield position, kind, examined.names[later[0]]
            if len(elsewhere):
                yield position, "duplicate in another class", examined.names[elsewhere[0]]


def _near_duplicates(examined: Examined) -> Iterator[tuple[int, str, str]]:
    """Images that look like one of a later split: (position, finding, name of the nearest)."""
    seen = examined.readable & ~examined.records["blank"]
    hashes = examined.records["hash"]
    for split in range(len(examined.splits)):
        ours = np.flatnonzero(seen & (examined.split == split))
        later = np.flatnonzero(seen & (examined.split > split))
        for index, near in nearest(hashes[ours], hashes[later]):
            other = int(later[near])
            judging = examined.splits[examined.split[other]]
            yield int(ours[index]), f"near-duplicate of a {judging} image", examined.names[other]


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
