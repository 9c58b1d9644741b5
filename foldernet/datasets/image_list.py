"""Which images there are, of which class, in which split: plain data, whatever it came from."""

import dataclasses
import os
from pathlib import Path

import numpy as np


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
