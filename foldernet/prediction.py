"""Prediction: a trained run, the same reader as in training, and what it makes of each picture."""

import dataclasses
import io
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np

from foldernet.blur.kernels import blur
from foldernet.data.reader import INTERPOLATIONS, MODES, ImageError, read_image
from foldernet.models.single_filter import ZeroPaddedConvolution
from foldernet.report import predictions
from foldernet.terminal import UserError, printable
from foldernet.training import model_files, runs

BATCH_SIZE = 256
LONGEST_NAME, LARGEST_SIDE = 255, 8192  # characters of a class's name, pixels


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What a classifier says of one picture.

    Attributes:
        path: the file.
        ranking: (class name, probability 0..1), most probable first; empty if there is an error.
        error: why the file could not be read, or None.
    """

    path: str
    ranking: tuple[tuple[str, float], ...] = ()
    error: str | None = None


@dataclasses.dataclass(frozen=True)
class Blurred:
    """What a filter makes of one picture.

    Attributes:
        path: the file.
        pixels: (height, width, channels) uint8; None if there is an error.
        error: why the file could not be read, or None.
    """

    path: str
    pixels: np.ndarray | None = None
    error: str | None = None


class Classifier:
    """A trained network and what its file says of its classes and images.

    Attributes:
        model: pixels (n, height, width, channels) 0..255 -> probabilities (n, classes).
        classes: names, in the order of the model's outputs.
        size: (height, width) in pixels.
        color_mode, interpolation, keep_aspect_ratio: as in `foldernet.data.reader.read_image`.
    """

    report = staticmethod(predictions.write)

    def __init__(self, path: Path, metadata: dict):
        self.classes = tuple(metadata["classes"])
        self.size = tuple(metadata["size"])
        self.color_mode = metadata["color_mode"]
        self.interpolation = metadata["interpolation"]
        self.keep_aspect_ratio = metadata["keep_aspect_ratio"]
        self.model = _load_model(path)
        shapes = tuple(getattr(self.model, f"{end}_shape", None) for end in ("input", "output"))
        wanted = (None, *self.size, MODES[self.color_mode][1]), (None, len(self.classes))
        if shapes != wanted:
            raise UserError(
                f"'{path}' contradicts itself: its network makes {shapes[1]} of {shapes[0]}, where"
                f" its classes and images need {wanted[1]} of {wanted[0]}. Take another copy."
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
        """Classify files; one that can't be read gets a `Prediction` with an error.

        Example:
            foldernet.load("models/my-run").predict(["cat.jpg"])[0].ranking[0]  # ("cat", 0.98)
        """
        return list(self.stream(paths))

    def stream(self, paths: Iterable[str | os.PathLike]) -> Iterator[Prediction]:
        """As `predict`, batch after batch, so that a folder of any size fits in memory."""
        paths = [os.fspath(path) for path in paths]
        with ThreadPoolExecutor() as pool:
            for start in range(0, len(paths), BATCH_SIZE):
                batch = paths[start : start + BATCH_SIZE]
                yield from self._classify(batch, list(pool.map(self._read_or_reason, batch)))

    def _read_or_reason(self, path: str) -> np.ndarray | str:
        try:
            return self.read(path)
        except ImageError as error:
            return error.reason

    def _classify(self, paths: list[str], read: list[np.ndarray | str]) -> Iterator[Prediction]:
        images = [pixels for pixels in read if not isinstance(pixels, str)]
        probabilities = iter(self.model.predict_on_batch(np.stack(images)) if images else ())
        for path, pixels in zip(paths, read, strict=True):
            if isinstance(pixels, str):
                yield Prediction(path, error=pixels)
                continue
            row = next(probabilities)
            order = np.argsort(-row, kind="stable")
            yield Prediction(
                path, tuple((self.classes[index], float(row[index])) for index in order)
            )


class BlurFilter:
    """A trained filter, for images of any size.

    Attributes:
        kernel: float64 (size, size), as learnt.
    """

    report = staticmethod(predictions.write_images)

    def __init__(self, path: Path, metadata: dict):
        model = _load_model(path, {"ZeroPaddedConvolution": ZeroPaddedConvolution})
        kernels = [weight for weight in model.weights if weight.name == "kernel"]
        side = metadata["kernel_size"]
        if len(model.weights) != 1 or [kernel.shape for kernel in kernels] != [(side, side, 1, 1)]:
            raise UserError(f"'{path}' holds no filter of {side}x{side} pixels. Take another copy.")
        self.kernel = keras.ops.convert_to_numpy(kernels[0])[:, :, 0, 0].astype(float)

    def apply(self, pixels: np.ndarray) -> np.ndarray:
        """Blur an image, which counts as black beyond its frame, as in training.

        Args:
            pixels: (height, width, channels) uint8.

        Returns:
            The same shape and dtype.
        """
        planes = [blur(plane, self.kernel) for plane in np.moveaxis(pixels, 2, 0)]
        return np.clip(np.rint(np.stack(planes, axis=2)), 0, 255).astype(np.uint8)

    def stream(self, paths: Iterable[str | os.PathLike]) -> Iterator[Blurred]:
        """Blur files, one after another; one that can't be read gets an error."""
        for path in map(os.fspath, paths):
            try:
                yield Blurred(path, self.apply(read_image(path)))
            except ImageError as error:
                yield Blurred(path, error=error.reason)


def _load_model(path: Path, custom_objects: dict | None = None) -> keras.Model:
    """A model whose file has been looked through.

    Raises:
        UserError: it is refused, or damaged.
    """
    try:
        with h5py.File(io.BytesIO(model_files.check_archive(path)), "r") as weights:
            model_files.check_hdf5(weights, path)
        return keras.saving.load_model(path, custom_objects, compile=False, safe_mode=True)
    except UserError:
        raise
    except Exception as error:  # Keras and h5py meet damage with nearly every kind of error
        raise UserError(f"'{path}' can't be loaded ({model_files.short(error)}).") from error


def _is_whole(smallest: int, largest: int) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and smallest <= value <= largest


def _is_size(value) -> bool:
    side = _is_whole(1, LARGEST_SIDE)
    return isinstance(value, list) and len(value) == 2 and all(map(side, value))


def _are_classes(value) -> bool:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        return False
    return len(value) == len(set(value)) >= 2 and all(0 < len(n) <= LONGEST_NAME for n in value)


PREDICTORS = {"classify": Classifier, "blur": BlurFilter}
SCHEMAS = {
    "classify": {
        "classes": _are_classes,
        "size": _is_size,
        "color_mode": lambda value: isinstance(value, str) and value in MODES,
        "interpolation": lambda value: value in INTERPOLATIONS,
        "keep_aspect_ratio": lambda value: isinstance(value, bool),
    },
    "blur": {"kernel_size": _is_whole(1, LARGEST_SIDE)},
}  # mode -> what a model's file says of it -> whether a value can be meant


def _check(metadata: dict, path: Path) -> None:
    """Hold what a file says against the schema of its mode; what that doesn't name is ignored.

    Raises:
        UserError: an unknown mode, or a value that is missing or can't be meant.
    """
    mode = metadata.get("mode")
    if not isinstance(mode, str) or mode not in SCHEMAS:
        raise UserError(
            f"'{path}' is of the mode {_quoted(mode)}, and {' and '.join(SCHEMAS)} are known. It"
            " may be from a newer version."
        )
    for field, can_be_meant in SCHEMAS[mode].items():
        if field not in metadata or not can_be_meant(metadata[field]):
            raise UserError(
                f"'{path}' is no model that train.py saved: its {field} can't be"
                f" {_quoted(metadata.get(field))}."
            )


def _quoted(value: Any) -> str:
    return printable(repr(value)[:60])


def load(run: str | os.PathLike) -> Classifier | BlurFilter:
    """Load what was trained; a file that could run code, or isn't ours, is refused.

    Args:
        run: a run's folder, as models/<name>, or a .keras file that train.py saved.

    Raises:
        UserError: no such run, or a file of something else, damaged, or refused.
    """
    path = Path(run)
    path = path / "best.keras" if path.is_dir() else path
    metadata = runs.read_metadata(path)
    _check(metadata, path)
    return PREDICTORS[metadata["mode"]](path, metadata)
