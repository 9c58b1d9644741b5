"""A trained filter, which blurs images."""

import dataclasses
from collections.abc import Iterator
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
    """

    path: str
    pixels: np.ndarray | None = None
    error: str | None = None

    def line(self, top: int) -> str:
        """For people: write a PNG to the working folder, under a name that is free, and name it."""
        return write_png(f"{Path(self.path).stem}-blurred", self.pixels)


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
        for name, pixels in map(self._with_pixels, self.named_images(images)):
            if isinstance(pixels, ImageError):
                yield Blurred(name, error=pixels.reason)
            else:
                yield Blurred(name, self.apply(pixels))
