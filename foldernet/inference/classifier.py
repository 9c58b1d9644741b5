"""A trained classifier."""

import dataclasses
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from foldernet.inference.predictor import Predictor
from foldernet.terminal import UserError, printable

LONGEST_NAME = 255  # characters of a class's name


@dataclasses.dataclass(frozen=True)
class ClassPrediction:
    """What a classifier says of one image.

    Attributes:
        path: the file; of an image without one, what it was given as, such as `<bytes>`.
        ranking: (class name, probability 0..1), most probable first; empty if there is an error.
        error: why the file could not be read, or None.
    """

    path: str
    ranking: tuple[tuple[str, float], ...] = ()
    error: str | None = None

    def line(self, top: int) -> str:
        """For people: `cat 98.1%  (dog 1.2%, ...)`."""
        best, *others = (f"{printable(name)} {share:.1%}" for name, share in self.ranking[:top])
        return f"{best}  ({', '.join(others)})" if others else best


def _are_classes(value: Any) -> bool:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        return False
    return len(value) == len(set(value)) >= 2 and all(0 < len(n) <= LONGEST_NAME for n in value)


class Classifier(Predictor):
    """A trained network, what its file says of its images, and its classes.

    Attributes:
        classes: names, in the order of the model's outputs.
    """

    SCHEMA: ClassVar = Predictor.SCHEMA | {"classes": _are_classes}
    Result: ClassVar = ClassPrediction

    def __init__(self, path: Path, metadata: dict[str, Any]):
        super().__init__(path, metadata)
        self.classes = tuple(metadata["classes"])
        if self.model.output_shape != (None, len(self.classes)):
            raise UserError(
                f"'{path}' contradicts itself: its network gives {self.model.output_shape}, and it"
                f" names {len(self.classes)} classes. Use another copy of it."
            )

    def answer(self, path, outputs):
        order = np.argsort(-outputs, kind="stable")
        ranking = tuple((self.classes[index], float(outputs[index])) for index in order)
        return ClassPrediction(path, ranking)
