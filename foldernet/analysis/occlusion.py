"""Heat maps of a network that has no gradients to offer, and how any are drawn."""

from collections.abc import Callable

import cv2
import numpy as np

PATCHES = 9  # per side, each half over the next
AT_ONCE = 9  # covered images, so that those of a large network fit in memory


def occlusion(
    outputs: Callable[[np.ndarray], np.ndarray], image: np.ndarray, label: int
) -> np.ndarray:
    """A heat map by covering: how much of a class's probability is lost where a gray patch lies.

    Zeiler & Fergus (2014), "Visualizing and Understanding Convolutional Networks", arXiv:1311.2901.

    Args:
        outputs: pixels (n, height, width, channels) 0..255 -> probabilities (n, classes).
        image: (height, width, channels) pixels 0..255.
        label: the class that is asked for.

    Returns:
        (height, width) float32, 0..1, 1 where most is lost; 0 all over where nothing is.
    """
    size = np.array(image.shape[:2])
    starts = np.arange(PATCHES)[:, None] * size // PATCHES  # (patches, 2) of rows and columns
    ends = starts - (-2 * size // PATCHES)
    places = list(np.ndindex(PATCHES, PATCHES))
    (whole,), left = outputs(image[None])[:, label], []
    for first in range(0, len(places), AT_ONCE):
        some = places[first : first + AT_ONCE]
        covered = np.repeat(image[None].astype("float32"), len(some), axis=0)
        for one, (row, column) in zip(covered, some, strict=True):
            one[starts[row, 0] : ends[row, 0], starts[column, 1] : ends[column, 1]] = 127.5
        left.extend(outputs(covered)[:, label])
    lost = np.maximum(whole - np.array(left, "float32"), 0).reshape(PATCHES, PATCHES)
    lost /= max(lost.max(), 1e-12)
    return cv2.resize(lost, image.shape[1::-1], interpolation=cv2.INTER_LINEAR)


def overlaid(image: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """An image, (height, width, channels) 0..255, in gray under its heat map: (height, width, 3)
    uint8."""
    gray = image.mean(axis=2, keepdims=True).astype("float32")
    colors = cv2.applyColorMap(np.uint8(255 * heat), cv2.COLORMAP_INFERNO)[..., ::-1]
    share = 0.15 + 0.6 * heat[..., None]
    return np.uint8((1 - share) * gray + share * colors)
