"""Heat maps of a network that has no gradients to offer, and how any are drawn."""

from collections.abc import Callable

import cv2
import numpy as np

PATCHES = 9  # per side, each half over the next


def occlusion(outputs: Callable[[np.ndarray], np.ndarray], image: np.ndarray) -> np.ndarray:
    """A heat map by covering: how much of the probability of the most probable class is lost where
    a gray patch lies.

    Zeiler & Fergus (2014), "Visualizing and Understanding Convolutional Networks", arXiv:1311.2901.

    Args:
        outputs: pixels (n, height, width, channels) 0..255 -> probabilities (n, classes); n is
            `PATCHES` at most, so that what a large network computes fits in memory.
        image: (height, width, channels) uint8.

    Returns:
        (height, width) float32, 0..1, 1 where most is lost; 0 all over where nothing is.
    """

    def covered(side: int) -> np.ndarray:  # pixels -> (patches, side) bool
        starts = (2 * np.arange(PATCHES)[:, None] - 1) * side // (2 * PATCHES)
        pixels = np.arange(side)
        return (pixels >= starts) & (pixels < starts - (-2 * side // PATCHES))

    rows, columns = map(covered, image.shape[:2])
    whole, left = outputs(image[None])[0], []
    for row in rows:
        patches = (row[:, None] & columns[:, None])[..., None]  # (patches, height, width, 1)
        left.append(outputs(np.where(patches, np.float32(127.5), image))[:, whole.argmax()])
    lost = np.maximum(whole.max() - np.array(left, "float32"), 0)  # (patches, patches)
    lost /= max(lost.max(), 1e-12)
    return cv2.resize(lost, image.shape[1::-1], interpolation=cv2.INTER_LINEAR)


def overlaid(image: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """An image, (height, width, channels) 0..255, in gray under its heat map: (height, width, 3)
    uint8."""
    gray = image.mean(axis=2, keepdims=True).astype("float32")
    colors = cv2.applyColorMap(np.uint8(255 * heat), cv2.COLORMAP_INFERNO)[..., ::-1]
    share = 0.15 + 0.6 * heat[..., None]
    return np.uint8((1 - share) * gray + share * colors)
