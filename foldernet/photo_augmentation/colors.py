"""Colors, changed by one affine map of red, green and blue for each image."""

import numpy as np

LUMA = (0.299, 0.587, 0.114)
ACROSS = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / np.sqrt(3)  # the axis of grays
NEUTRAL, LARGEST = (1, 1, 1, 0), (1, 1, 1, 0.1)  # as the changes of `jitter`


def draw_brightness(value, count, shape, random):
    """Draws uniformly between the two numbers of the option."""
    low, high = value or (1, 1)
    return {"brightness": low + random.random(count) * (high - low)}


def multiply(pixels, factor):
    """Multiplies the pixels, and clips them."""
    return (pixels * factor).clip(0, 255)


def draw_jitter(value, count, shape, random):
    """Draws the factors of brightness, contrast and saturation, and shares of the color wheel."""
    return {"color_jitter": NEUTRAL + value * random.uniform(-1, 1, (count, 4)) * LARGEST}


def jitter(images, changes):
    """Multiplies the pixels, then differences from the mean gray level, then those from each
    pixel's own, and turns hues; what lies beyond 0..255 is clipped at the end.

    Args:
        images: changed in place, (n, height, width, channels).
        changes: (n, 4), three factors and a share of a full turn.
    """
    import cv2

    channels = images.shape[3]
    luma = np.array(LUMA if channels == 3 else channels * [1 / channels])
    for image, (brightness, contrast, saturation, hue) in zip(images, changes, strict=True):
        matrix = brightness * contrast * (saturation * np.eye(channels) + (1 - saturation) * luma)
        if channels == 3:  # Rodrigues' formula; a third of a turn makes red green
            cos, sin = np.cos(2 * np.pi * hue), np.sin(2 * np.pi * hue)
            matrix = (cos * np.eye(3) + (1 - cos) / 3 + sin * ACROSS) @ matrix
        gray = brightness * (1 - contrast) * (luma @ mean(image))
        affine = np.column_stack([matrix, np.full(channels, gray)])
        image[...] = cv2.transform(image, affine).reshape(image.shape).clip(0, 255)


def mean(image: np.ndarray) -> np.ndarray:
    """The mean color of an image, (channels,) float."""
    import cv2

    return np.array([cv2.mean(channel)[0] for channel in cv2.split(image)])
