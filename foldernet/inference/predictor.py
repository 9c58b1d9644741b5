"""Prediction: a trained network, and images read as in training."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from foldernet.images.reader import INTERPOLATIONS, MODES, ImageError
from foldernet.inference import output, sources
from foldernet.terminal import UserError, number, printable
from foldernet.training.model_file import load_model

BATCH_SIZE = 256
LARGEST_SIDE = 8192  # pixels


def whole_number(smallest: int, largest: int) -> Callable[[Any], bool]:
    """Whether a value is a whole number within these bounds."""
    return lambda value: type(value) is int and smallest <= value <= largest


is_side = whole_number(1, LARGEST_SIDE)


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
        path: the file; of an image without one, what it was given as, such as `<bytes>`.
        values: the network's numbers; empty if there is an error.
        error: why the file could not be read, or None.
    """

    path: str
    values: tuple[float, ...] = ()
    error: str | None = None

    def line(self, top: int) -> str:
        """For people."""
        return ", ".join(map(number, self.values))


class Predictor:
    """A trained network and what its file says of its images.

    Attributes:
        model: pixels (n, height, width, channels) 0..255 -> numbers (n, outputs).
        size: (height, width) in pixels.
        rule: color mode, interpolation, and whether the proportions are kept, as of
            `foldernet.images.reader.read_image`.

    Raises:
        UserError: the file is damaged or refused, or contradicts itself.
    """

    # In the order of `read_image`'s arguments.
    SCHEMA: ClassVar[dict[str, Callable[[Any], bool]]] = {
        "size": lambda value: isinstance(value, list) and [*map(is_side, value)] == [True, True],
        "color_mode": lambda value: isinstance(value, str) and value in MODES,
        "interpolation": lambda value: value in INTERPOLATIONS,
        "keep_aspect_ratio": lambda value: isinstance(value, bool),
    }
    write = staticmethod(output.write)
    Result: ClassVar = Prediction  # what `answer` makes; of a file that can't be read, with `error`

    def __init__(self, path: Path, metadata: dict[str, Any]):
        check_metadata(metadata, self.SCHEMA, path)
        size, *self.rule = (metadata[name] for name in Predictor.SCHEMA)
        self.size = tuple(size)
        self.model = load_model(path)
        shape, wanted = self.model.input_shape, (None, *self.size, MODES[self.rule[0]][1])
        if shape != wanted:
            raise UserError(
                f"'{path}' contradicts itself: its network takes {shape}, and its images are"
                f" {wanted}. Use another copy of it."
            )

    def read(self, image: sources.Source) -> np.ndarray:
        """The pixels that the network sees of an image: (height, width, channels) uint8.

        Raises:
            ImageError, UserError: as of `foldernet.inference.sources.read`.
        """
        return sources.read(image, self.size, *self.rule)

    def predict(self, images: sources.Source | Iterable[sources.Source]) -> list[Prediction]:
        """Predict one image, or several.

        Args:
            images: a path (str or PathLike); a file's content, as bytes or open for reading bytes;
                pixels, as a Pillow image or as a uint8 array (height, width) or (height, width, 1,
                3 or 4); or an iterable of any of these.

        Returns:
            An answer for each image, and so a list of one for one image. An image that can't be
            read gets an answer with an error.

        Raises:
            UserError: something is none of these.

        Example:
            foldernet.load("my-run").predict("cat.jpg")[0].ranking[0]  # ("cat", 0.98)
        """
        return list(self.stream(images))

    def stream(self, images: sources.Source | Iterable[sources.Source]) -> Iterator[Prediction]:
        """As `predict`, batch after batch, so that any number of images fits in memory."""
        named, pool = sources.named(images), ThreadPoolExecutor()
        try:
            while batch := [(name, self._start(pool, i)) for name, i in islice(named, BATCH_SIZE)]:
                yield from self._answers([(name, reading.result()) for name, reading in batch])
        finally:
            pool.shutdown(cancel_futures=True)

    def answer(self, path: str, outputs: np.ndarray) -> Prediction:
        """What the network's `outputs`, (outputs,) float, say of an image."""
        return Prediction(path, tuple(map(float, outputs)))

    def _start(self, pool: ThreadPoolExecutor, image: sources.Source) -> Future:
        reading = pool.submit(self._read_or_reason, image)
        if not isinstance(image, sources.PATH):
            wait([reading])  # else a batch of photographs would be in memory, decoded, at a time
        return reading

    def _read_or_reason(self, image: sources.Source) -> np.ndarray | str:
        try:
            return self.read(image)
        except ImageError as error:
            return error.reason

    def _answers(self, batch: list[tuple[str, np.ndarray | str]]) -> Iterator[Prediction]:
        images = [pixels for _, pixels in batch if not isinstance(pixels, str)]
        outputs = iter(self.model.predict_on_batch(np.stack(images)) if images else ())
        for name, pixels in batch:
            if isinstance(pixels, str):
                yield self.Result(name, error=pixels)
            else:
                yield self.answer(name, next(outputs))
