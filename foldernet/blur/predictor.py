"""A trained filter, which blurs images."""

import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from foldernet.blur.kernels import blur
from foldernet.blur.single_filter import ZeroPaddedConvolution, learned_kernel
from foldernet.images.reader import ImageError
from foldernet.inference.predictor import Predictor
from foldernet.interchange.writers import write_png
from foldernet.terminal import UserError
from foldernet.training.model_file import load_model


@dataclasses.dataclass(frozen=True)
class Blurred:
    """What a filter makes of one image.

    Attributes:
        path: the file; of an image without one, what it was given as, such as `<bytes>`.
        pixels: (height, width, channels) uint8; None if there is an error.
        error: why the file could not be read, or None.
        written: the name of the file that `pixels` went to, once they have.
    """

    path: str
    pixels: np.ndarray | None = None
    error: str | None = None
    written: str = ""

    def line(self, top: int) -> str:
        """For people."""
        return self.written


class BlurFilter(Predictor):
    """A trained filter, for images of any size.

    Attributes:
        kernel: float64 (size, size), as learned.

    Raises:
        UserError: the file is damaged or refused, or holds no filter.
    """

    Result: ClassVar = Blurred
    size = rule = None  # images are read as they are

    def __init__(self, path: Path, metadata: dict[str, Any], network: Any = None):
        model = load_model(path, {"ZeroPaddedConvolution": ZeroPaddedConvolution})
        if [weight.shape[2:] for weight in model.weights] != [(1, 1)]:
            raise UserError(f"'{path}' holds no filter. Use another copy of it.")
        self.kernel, self.metadata, self.path = learned_kernel(model), metadata, path

    def apply(self, pixels: np.ndarray) -> np.ndarray:
        """Blur an image, which counts as black beyond its frame, as in training.

        Args:
            pixels: (height, width, channels) uint8.

        Returns:
            The same shape and dtype.
        """
        planes = blur(np.moveaxis(pixels, 2, 0), self.kernel)
        return np.clip(np.rint(np.moveaxis(planes, 0, 2)), 0, 255).astype(np.uint8)

    def stream(self, images: Any) -> Iterator[Blurred]:
        """As `predict`, one after another; one that can't be read gets an error."""
        for name, pixels in map(self._with_pixels, self.drawn(images)):
            if isinstance(pixels, ImageError):
                yield Blurred(name, error=pixels.reason)
            else:
                yield Blurred(name, self.apply(pixels))

    @staticmethod
    def write(results: Iterable[Blurred], missing: list[str], top: int) -> int:
        """Write each blurred image to the working folder, as PNG and under a name that is free.

        Returns:
            The exit status: 0, or 1 if anything could not be read.
        """
        return Predictor.write(map(_written, results), missing, top)


def _written(result: Blurred) -> Blurred:
    """Write a result's pixels, if it has any, to a PNG named after it, and let go of them."""
    if result.error:
        return result
    written = write_png(f"{Path(result.path).stem}-blurred", result.pixels)
    return Blurred(result.path, written=written)
