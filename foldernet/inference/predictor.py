"""Prediction: a trained network, and images read as in training."""

import dataclasses
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from foldernet.images.reader import INTERPOLATIONS, MODES, ImageError, read_image
from foldernet.inference import output
from foldernet.terminal import UserError, number, printable
from foldernet.training.model_file import load_model

BATCH_SIZE = 256
LARGEST_SIDE = 8192  # pixels


def whole_number(smallest: int, largest: int) -> Callable[[Any], bool]:
    """Whether a value is a whole number within these bounds."""
    return lambda value: type(value) is int and smallest <= value <= largest


def check_metadata(metadata: dict, schema: dict[str, Callable[[Any], bool]], path: Path) -> None:
    """Raise UserError if what a model's file says of itself doesn't fit; what the schema doesn't
    name is ignored.

    Args:
        schema: name -> whether a value can be meant.
    """
    for name, can_be_meant in schema.items():
        if name not in metadata or not can_be_meant(metadata[name]):
            raise UserError(
                f"'{path}' was not saved by train.py: its {name} can't be"
                f" {printable(repr(metadata.get(name))[:60])}."
            )


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What a network says of one image.

    Attributes:
        path: the file.
        values: the network's numbers; empty if there is an error.
        error: why the file could not be read, or None.
    """

    path: str
    values: tuple[float, ...] = ()
    error: str | None = None

    def line(self, top: int) -> str:
        """For people."""
        return ", ".join(map(number, self.values))

    def json(self, top: int) -> dict[str, Any]:
        """For programs."""
        return {"values": list(self.values)}

    def cells(self, top: int) -> dict[str, Any]:
        """CSV: column -> cell."""
        return {f"value_{rank}": value for rank, value in enumerate(self.values, start=1)}


class Predictor:
    """A trained network and what its file says of its images.

    Attributes:
        model: pixels (n, height, width, channels) 0..255 -> numbers (n, outputs).
        size: (height, width) in pixels.
        color_mode, interpolation, keep_aspect_ratio: as of `foldernet.images.reader.read_image`.

    Raises:
        UserError: the file is damaged or refused, or contradicts itself.
    """

    SCHEMA: ClassVar[dict[str, Callable[[Any], bool]]] = {
        "size": lambda value: (
            isinstance(value, list)
            and len(value) == 2
            and all(map(whole_number(1, LARGEST_SIDE), value))
        ),
        "color_mode": lambda value: isinstance(value, str) and value in MODES,
        "interpolation": lambda value: value in INTERPOLATIONS,
        "keep_aspect_ratio": lambda value: isinstance(value, bool),
    }
    Result: ClassVar = Prediction  # what `answer` makes; of a file that can't be read, with `error`
    write = staticmethod(output.write)

    def __init__(self, path: Path, metadata: dict[str, Any]):
        check_metadata(metadata, self.SCHEMA, path)
        self.size = tuple(metadata["size"])
        self.color_mode = metadata["color_mode"]
        self.interpolation = metadata["interpolation"]
        self.keep_aspect_ratio = metadata["keep_aspect_ratio"]
        self.model = load_model(path)
        shape, wanted = self.model.input_shape, (None, *self.size, MODES[self.color_mode][1])
        if shape != wanted:
            raise UserError(
                f"'{path}' contradicts itself: its network takes {shape}, and its images are"
                f" {wanted}. Use another copy of it."
            )

    def read(self, path: str | os.PathLike) -> np.ndarray:
        """The pixels that the network sees of a file: (height, width, channels) uint8.

        Raises:
            ImageError: it can't be read.
        """
        return read_image(
            path, self.size, self.color_mode, self.interpolation, self.keep_aspect_ratio
        )

    def predict(self, paths: Iterable[str | os.PathLike]) -> list[Prediction]:
        """Predict files; one that can't be read gets a `Prediction` with an error.

        Example:
            foldernet.load("my-run").predict(["cat.jpg"])[0].ranking[0]  # ("cat", 0.98)
        """
        return list(self.stream(paths))

    def stream(self, paths: Iterable[str | os.PathLike]) -> Iterator[Prediction]:
        """As `predict`, batch after batch, so that a folder of any size fits in memory."""
        paths = [os.fspath(path) for path in paths]
        with ThreadPoolExecutor() as pool:
            for start in range(0, len(paths), BATCH_SIZE):
                batch = paths[start : start + BATCH_SIZE]
                yield from self._answers(batch, list(pool.map(self._read_or_reason, batch)))

    def answer(self, path: str, outputs: np.ndarray) -> Prediction:
        """What the network's `outputs`, (outputs,) float, say of an image."""
        return Prediction(path, tuple(map(float, outputs)))

    def _read_or_reason(self, path: str) -> np.ndarray | str:
        try:
            return self.read(path)
        except ImageError as error:
            return error.reason

    def _answers(self, paths: list[str], read: list[np.ndarray | str]) -> Iterator[Prediction]:
        images = [pixels for pixels in read if not isinstance(pixels, str)]
        outputs = iter(self.model.predict_on_batch(np.stack(images)) if images else ())
        for path, pixels in zip(paths, read, strict=True):
            if isinstance(pixels, str):
                yield self.Result(path, error=pixels)
            else:
                yield self.answer(path, next(outputs))
