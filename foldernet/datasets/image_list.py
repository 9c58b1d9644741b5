"""Which images there are, of which class, in which split: plain data, whatever it came from; and
training or validation, which follows from each image's content."""

import contextlib
import dataclasses
import functools
import hashlib
import os
from pathlib import Path

import numpy as np

from foldernet import terminal

CONTENT_HASH = functools.partial(hashlib.blake2b, digest_size=8)


@dataclasses.dataclass(frozen=True, eq=False)
class ImageList:
    """Images and their classes.

    Attributes:
        directory: the folder that `names` are relative to.
        names: n paths, in a fixed order.
        labels: (n,) int32, the index of each image's class.
        classes: names of the classes, in the order of their indices.
    """

    directory: str
    names: list[str]
    labels: np.ndarray
    classes: tuple[str, ...]

    @classmethod
    def of_classes(cls, directory: str | os.PathLike, names_of: dict[str, list[str]]):
        """The images of each class, one class after the other."""
        counts = [len(names) for names in names_of.values()]
        labels = np.repeat(np.arange(len(counts), dtype="int32"), counts)
        names = [name for names in names_of.values() for name in names]
        return cls(os.fspath(directory), names, labels, tuple(names_of))

    def __len__(self) -> int:
        return len(self.names)

    def path(self, position: int) -> str:
        return os.path.join(self.directory, self.names[position])

    @property
    def paths(self) -> list[str]:
        return [os.path.join(self.directory, name) for name in self.names]

    @property
    def counts(self) -> np.ndarray:
        """How many images each class has: (classes,) int."""
        return np.bincount(self.labels, minlength=len(self.classes))

    def take(self, chosen: np.ndarray) -> "ImageList":
        """The images at `chosen`, (m,) int positions or (n,) bool; all classes stay."""
        names = np.array(self.names, object)[chosen].tolist()
        return dataclasses.replace(self, names=names, labels=self.labels[chosen])


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """A dataset.

    Attributes:
        root: the folder that the user named.
        classes: names, in the order of their indices.
        splits: "training", "validation" and perhaps "test" -> `ImageList`, each with exactly
            these classes in this order.
    """

    root: Path
    classes: tuple[str, ...]
    splits: dict[str, ImageList]


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
