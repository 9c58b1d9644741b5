"""A trained filter, which blurs images."""

import contextlib
import dataclasses
import itertools
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
from PIL import Image

from foldernet import terminal
from foldernet.blur.kernels import blur
from foldernet.blur.single_filter import ZeroPaddedConvolution
from foldernet.images.reader import ImageError, read_image
from foldernet.inference.output import name_missing
from foldernet.inference.predictor import LARGEST_SIDE, check_metadata, whole_number
from foldernet.options import PredictOptions
from foldernet.terminal import UserError
from foldernet.training.model_file import load_model


@dataclasses.dataclass(frozen=True)
class Blurred:
    """What a filter makes of one image.

    Attributes:
        path: the file.
        pixels: (height, width, channels) uint8; None if there is an error.
        error: why the file could not be read, or None.
    """

    path: str
    pixels: np.ndarray | None = None
    error: str | None = None


class BlurFilter:
    """A trained filter, for images of any size.

    Attributes:
        kernel: float64 (size, size), as learned.

    Raises:
        UserError: the file is damaged or refused, or holds no filter.
    """

    def __init__(self, path: Path, metadata: dict[str, Any]):
        check_metadata(metadata, {"kernel_size": whole_number(1, LARGEST_SIDE)}, path)
        model = load_model(path, {"ZeroPaddedConvolution": ZeroPaddedConvolution})
        kernels = [weight for weight in model.weights if weight.name == "kernel"]
        side = metadata["kernel_size"]
        if len(model.weights) != 1 or [kernel.shape for kernel in kernels] != [(side, side, 1, 1)]:
            raise UserError(
                f"'{path}' holds no filter of {side}x{side} pixels. Use another copy of it."
            )
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

    def write(self, results: Iterable[Blurred], missing: list[str], options: PredictOptions) -> int:
        """Write each blurred image to the working folder, as PNG and under a name that is free.

        Returns:
            The exit status: 0, or 1 if anything could not be read.
        """
        if options.json or options.csv:
            raise UserError("--json and --csv are for classifiers; a blur run writes images.")
        name_missing(missing)
        failed = len(missing)
        for result in results:
            path = terminal.printable(result.path)
            if result.error:
                terminal.status(f"error: {path}: {terminal.printable(result.error)}")
                failed += 1
            else:
                written = _write_new(f"{Path(result.path).stem}-blurred", result.pixels)
                terminal.result(f"{path}: {terminal.printable(written.name)}")
        return 1 if failed else 0


def _write_new(stem: str, pixels: np.ndarray) -> Path:
    """Write a PNG as `stem`.png, or `stem`-2.png and so on: never over a file that is there."""
    for suffix in itertools.chain([""], (f"-{number}" for number in itertools.count(2))):
        path = Path(f"{stem}{suffix}.png")
        with contextlib.suppress(FileExistsError), open(path, "xb") as file:
            Image.fromarray(pixels).save(file, "PNG")
            return path
    raise AssertionError("count() has no end")
