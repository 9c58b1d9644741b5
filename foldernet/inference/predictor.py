"""Prediction: a trained network, and images read as in training."""

import dataclasses
import os
import re
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from foldernet import terminal
from foldernet.images import threads
from foldernet.images.reader import RULES, ImageError, Rule, read_with_header
from foldernet.terminal import UserError, number, printable
from foldernet.training.model_file import load_model, with_features

BATCH_SIZE = 256
LARGEST_SIDE = 8192  # pixels
# Of models that don't say so.
EARLIER = {"background": Rule.background, "white_level": Rule.white_level, "temperature": 1.0}


def whole_number(smallest: int, largest: int) -> Callable[[Any], bool]:
    """Whether a value is a whole number within these bounds."""
    return lambda value: type(value) is int and smallest <= value <= largest


def named(attribute: str) -> Callable[[Any], bool]:
    """Whether a value is one that this attribute of `Rule` knows."""
    return lambda value: isinstance(value, str) and bool(re.fullmatch(RULES[attribute], value))


is_side = whole_number(1, LARGEST_SIDE)


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
        network: pixels (n, height, width, channels) 0..255 -> features (n, width), which are what
            its last layer sees, and numbers (n, outputs). It has Keras's `predict_on_batch`.
        metadata: what the model's file says of itself.
        size: (height, width) in pixels.
        rule: how files become those pixels.

    Raises:
        UserError: the file is damaged or refused, or contradicts itself.
    """

    # Name -> whether a value can be meant; after the size, in the order of `Rule`.
    SCHEMA: ClassVar[dict[str, Callable[[Any], bool]]] = {
        "size": lambda value: isinstance(value, list) and [*map(is_side, value)] == [True, True],
        "color_mode": named("color_mode"),
        "interpolation": named("interpolation"),
        "keep_aspect_ratio": lambda value: isinstance(value, bool),
        "background": named("background"),
        "white_level": whole_number(1, 65535),
    }
    Result: ClassVar = Prediction  # what `answer` makes; of a file that can't be read, with `error`

    def __init__(self, path: Path, metadata: dict[str, Any], network: Any = None):
        metadata = EARLIER | metadata
        for name, can_be_meant in self.SCHEMA.items():
            if name not in metadata or not can_be_meant(metadata[name]):
                raise UserError(
                    f"'{path}' was not saved by train.py: its {name} can't be"
                    f" {printable(repr(metadata.get(name))[:60])}."
                )
        size, *rule = (metadata[name] for name in Predictor.SCHEMA)
        self.path, self.metadata = path, metadata
        self.size, self.rule = tuple(size), Rule(*rule)
        self.network = network or with_features(self.model)
        shape, wanted = self.network.input_shape, (None, *self.size, self.rule.channels)
        if shape != wanted:
            raise UserError(
                f"'{path}' contradicts itself: its network takes {shape}, and its images are"
                f" {wanted}. Use another copy of it."
            )

    @cached_property
    def model(self) -> Any:
        """The `keras.Model` as it was saved: pixels -> numbers."""
        return load_model(self.path)

    def read(self, path: str) -> np.ndarray:
        """The pixels that the network sees of an image: (height, width, channels) uint8.

        Raises:
            ImageError: it can't be read.
        """
        return read_with_header(path, self.size, self.rule)[0]

    def predict(self, images: Any) -> list[Prediction]:
        """Predict one image, or several.

        Args:
            images: paths, or whatever else `foldernet.interchange.memory.named_images` takes, one
                or many.

        Returns:
            An answer for each image, and so a list of one for one image. An image that can't be
            read gets an answer with an error.

        Raises:
            UserError: something is no image.

        Example:
            foldernet.load("my-run").predict("cat.jpg")[0].ranking[0]  # ("cat", 0.98)
        """
        return list(self.stream(images))

    def stream(self, images: Any) -> Iterator[Prediction]:
        """As `predict`, batch after batch, so that any number of images fits in memory."""
        named = self.named_images(images)
        while batch := list(islice(named, BATCH_SIZE)):
            yield from self.answers(list(threads.map(self._with_pixels, batch)))

    def named_images(self, images: Iterable[str | os.PathLike]) -> Iterator[tuple[str, Any]]:
        """Each image's name, and its path or pixels. A package's `extend` puts in its place what
        takes more than paths."""
        return ((os.fsdecode(path), os.fsdecode(path)) for path in images)

    def answer(self, path: str, features: np.ndarray, outputs: np.ndarray) -> Prediction:
        """What the network's `features`, (width,), and `outputs`, (outputs,), say of an image."""
        return Prediction(path, tuple(map(float, outputs)))

    @staticmethod
    def write(results: Iterable[Any], missing: list[str], top: int) -> int:
        """Show results as they come, a line each, and name what could not be read.

        Args:
            results: as of `stream`.
            missing: what the user named and nothing was found for.
            top: classes to name.

        Returns:
            The exit status: 0, or 1 if anything could not be read.
        """
        for name in missing:
            terminal.status(f"error: no image '{printable(name)}'")
        status = 1 if missing else 0
        for result in results:
            if result.error:
                terminal.status(f"error: {printable(result.path)}: {printable(result.error)}")
                status = 1
            else:
                terminal.result(f"{printable(result.path)}: {result.line(top)}")
        return status

    def _with_pixels(self, named: tuple[str, Any]) -> tuple[str, np.ndarray | ImageError]:
        name, image = named
        try:
            return name, self.read(image) if isinstance(image, str) else image
        except ImageError as error:
            return name, error

    def answers(self, batch: list[tuple[str, np.ndarray | ImageError]]) -> Iterator[Prediction]:
        """An answer for each name and what was read of its image, of one call of the network."""
        images = [pixels for _, pixels in batch if not isinstance(pixels, ImageError)]
        found = self.network.predict_on_batch(np.stack(images)) if images else ()
        found = zip(*found, strict=True)
        for name, pixels in batch:
            if isinstance(pixels, ImageError):
                yield self.Result(name, error=pixels.reason)
            else:
                yield self.answer(name, *next(found))
