"""Training or validation: each image's side follows from its content."""

import contextlib
import functools
import hashlib

import numpy as np

from foldernet import terminal
from foldernet.datasets.image_list import ImageList

CONTENT_HASH = functools.partial(hashlib.blake2b, digest_size=8)


def split_by_content(
    images: ImageList, validation_split: float, cache: str = "auto"
) -> dict[str, ImageList]:
    """Split a list into "training" and "validation", each image by a hash of its bytes.

    Renaming images never moves one from one side to the other, nor does adding images to a class
    that has some on both, and exact duplicates land on the same side. The shares are therefore only
    about what was asked for. Of a class whose images would all be on one side, one is put on the
    other, if it has two that differ; that one may move back when images are added.

    Args:
        validation_split: share of the images for validation, 0..1.
        cache: where hashes are kept for the next run, as for images.
    """
    positions = content_hashes(images.paths, cache) / 2**64  # uniform over contents
    held_out = np.zeros(len(images), bool)
    for label in np.unique(images.labels):
        here = images.labels == label
        lowest, highest = positions[here].min(), positions[here].max()
        # Above the lowest, but not above the highest: one image at least on each side.
        share = min(max(validation_split, np.nextafter(lowest, 1)), highest)
        held_out[here] = positions[here] < share
    return {"training": images.take(~held_out), "validation": images.take(held_out)}


def content_hashes(paths: list[str], cache: str = "auto") -> np.ndarray:
    """A hash of each file's bytes: (n,) uint64.

    A file that can't be read counts as empty; the image reader will name it, with the reason.
    """
    from foldernet.images import threads
    from foldernet.images.store import ArrayStore  # a wrong folder is answered without OpenCV

    def digest(position: int) -> np.ndarray:
        hashed = CONTENT_HASH()
        with contextlib.suppress(OSError), open(paths[position], "rb") as file:
            hashed = hashlib.file_digest(file, CONTENT_HASH)
        return np.frombuffer(hashed.digest(), np.uint8)

    mode = "memory" if cache == "off" else cache
    digests = ArrayStore(len(paths), paths.__getitem__, digest, (8,), "content, blake2b", mode)
    missing = digests.missing.tolist()
    for _ in terminal.progress(threads.map(digests.row, missing), "Hashing files", len(missing)):
        pass
    digests.flush()
    rows = np.array(digests.rows(np.arange(len(paths))), np.uint8).reshape(len(paths), 8)
    return rows.view(">u8")[:, 0].astype(np.uint64)
