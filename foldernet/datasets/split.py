"""Training or validation: each image's side follows from its content alone."""

import hashlib

import numpy as np

from foldernet import terminal
from foldernet.datasets.image_list import ImageList


def split_by_content(
    images: ImageList, validation_split: float, cache: str = "auto"
) -> dict[str, ImageList]:
    """Split a list into "training" and "validation", each image by a hash of its bytes.

    Adding or renaming images never moves another from one side to the other, and exact duplicates
    land on the same side. The shares are therefore only about what was asked for.

    Args:
        validation_split: share of the images for validation, 0..1.
        cache: where hashes are kept for the next run, as for images.
    """
    held_out = content_positions(images.paths, cache) < validation_split
    return {"training": images.take(~held_out), "validation": images.take(held_out)}


def content_positions(paths: list[str], cache: str = "auto") -> np.ndarray:
    """A number in [0, 1) for each file, uniform over contents: (n,) float64."""
    return content_hashes(paths, cache) / 2**64


def content_hashes(paths: list[str], cache: str = "auto") -> np.ndarray:
    """A hash of each file's bytes: (n,) uint64.

    A file that can't be read counts as empty; the image reader will name it, with the reason.
    """
    from foldernet.images.store import ArrayStore  # a wrong folder is answered without OpenCV

    def digest(position: int) -> np.ndarray:
        try:
            with open(paths[position], "rb") as file:
                hashed = hashlib.file_digest(file, _hash)
        except OSError:
            hashed = _hash()
        return np.frombuffer(hashed.digest(), np.uint8)

    mode = "memory" if cache == "off" else cache
    digests = ArrayStore(len(paths), paths.__getitem__, digest, (8,), "content, blake2b", mode)
    for _ in terminal.progress(digests.fill(), "Hashing files", len(digests.missing)):
        pass
    rows = np.array(digests.rows(np.arange(len(paths))), np.uint8).reshape(len(paths), 8)
    return rows.view(">u8")[:, 0].astype(np.uint64)


def _hash():
    return hashlib.blake2b(digest_size=8)
