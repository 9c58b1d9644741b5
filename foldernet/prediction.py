"""Prediction: a trained run, the same reader as in training, and what it makes of each picture."""

import dataclasses
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import keras
import numpy as np

from foldernet.blur.kernels import blur
from foldernet.data.reader import ImageError, read_image
from foldernet.report import predictions
from foldernet.training import runs

BATCH_SIZE = 256


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
        self.model = keras.saving.load_model(path, compile=False)

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
        learnt = keras.saving.load_model(path, compile=False).get_layer("filter")
        self.kernel = keras.ops.convert_to_numpy(learnt.kernel)[:, :, 0, 0].astype(float)

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


PREDICTORS = {"classify": Classifier, "blur": BlurFilter}


def load(run: str | os.PathLike) -> Classifier | BlurFilter:
    """Load what was trained.

    Args:
        run: a run's folder, as models/<name>, or a .keras file that train.py saved.

    Raises:
        UserError: no such run, or a file of something else.
    """
    path = Path(run)
    path = path / "best.keras" if path.is_dir() else path
    metadata = runs.read_metadata(path)
    return PREDICTORS[metadata["mode"]](path, metadata)
