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
            Probabilities are calibrated, if the model's file says how.
        error: why the file could not be read, or None.
        raw: what the network itself gives the first class, 0..1.
        unknown: whether the image is unlike the training images, or the network unsure.
        within: the classes among which the right one is, where such a set is asked for.
    """

    path: str
    ranking: tuple[tuple[str, float], ...] = ()
    error: str | None = None
    raw: float = 0.0
    unknown: bool = False
    within: tuple[str, ...] = ()

    def line(self, top: int) -> str:
        """For people: `cat 98.1%  (dog 1.2%, ...)`."""
        best, *others = (f"{printable(name)} {share:.1%}" for name, share in self.ranking[:top])
        others = [f"({', '.join(others)})"] if others else []
        within = [f"one of {', '.join(map(printable, self.within))}"] if self.within else []
        return "  ".join([best, *others, *within, *["unknown"] * self.unknown])


def calibrated(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities, (..., classes), as if their logits had been divided by the temperature: above
    1 they become less sure. The order of classes stays.

    Guo et al. (2017), "On Calibration of Modern Neural Networks", arXiv:1706.04599.
    """
    powers = np.asarray(probabilities, float) ** (1 / temperature)
    return powers / powers.sum(axis=-1, keepdims=True)


def _are_classes(value: Any) -> bool:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        return False
    return len(value) == len(set(value)) >= 2 and all(0 < len(n) <= LONGEST_NAME for n in value)


class Classifier(Predictor):
    """A trained network, what its file says of its images, and its classes.

    Attributes:
        classes: names, in the order of the model's outputs.
    """

    SCHEMA: ClassVar = Predictor.SCHEMA | {
        "classes": _are_classes,
        "temperature": lambda value: isinstance(value, float) and 0.01 < value < 100,
    }
    Result: ClassVar = ClassPrediction

    def __init__(self, path: Path, metadata: dict[str, Any], network: Any = None):
        super().__init__(path, metadata, network)
        self.classes, outputs = tuple(metadata["classes"]), self.network.output_shape[1]
        if outputs != (None, len(self.classes)):
            raise UserError(
                f"'{path}' contradicts itself: its network gives {outputs}, and it names"
                f" {len(self.classes)} classes. Use another copy of it."
            )

    def answer(self, path, features, outputs):
        order = np.argsort(-outputs, kind="stable")
        shares = calibrated(outputs, self.metadata["temperature"])
        ranking = tuple((self.classes[index], float(shares[index])) for index in order)
        unknown = self.is_unknown(features, shares)
        return ClassPrediction(path, ranking, raw=float(outputs[order[0]]), unknown=unknown)

    def is_unknown(self, features: np.ndarray, probabilities: np.ndarray) -> bool:
        """Whether an image is unlike the training images, or the network unsure of it. What
        a package's `extend` puts in its place can tell; this can't."""
        return False
