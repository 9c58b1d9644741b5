"""TrivialAugment in its wide setting: one operation an image, of a strength drawn uniformly.

Müller and Hutter (2021), "TrivialAugment: Tuning-free Yet State-of-the-Art Data Augmentation",
arXiv:2103.10158. Strengths are continuous instead of 31 steps, and images move by shares of their
sides, as the paper's 32 pixels are of 224.
"""

import numpy as np

from foldernet.photo_augmentation.boxes import followed
from foldernet.photo_augmentation.colors import NEUTRAL, jitter

# Largest change of shear x and y, position x and y in shares, and angle in radians.
MOVES = (0.99, 0.99, 32 / 224, 32 / 224, np.deg2rad(135))
FACTOR = 0.99  # largest change of brightness, contrast, saturation and sharpness, which are 1
SMOOTH = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]]) / 13


def sharpen(channel, strength):
    """Multiplies differences from the smoothed image."""
    import cv2

    kernel = -FACTOR * strength * SMOOTH
    kernel[1, 1] += 1 + FACTOR * strength
    return cv2.filter2D(channel, -1, kernel)


def posterize(channel, strength):
    """Clears up to six of the eight bits."""
    lost = round(6 * abs(strength))
    return channel >> lost << lost


def solarize(channel, strength):
    """Inverts what is brighter than a level."""
    return channel ^ np.uint8(255) * (channel > int(255 * (1 - abs(strength))))


def autocontrast(channel, strength):
    """Stretches the gray levels to 0..255, if there are several."""
    import cv2

    flat = channel.min() == channel.max()
    return channel if flat else cv2.normalize(channel, None, 0, 255, cv2.NORM_MINMAX)


def equalize(channel, strength):
    """Gives the gray levels a flat histogram."""
    import cv2

    return cv2.equalizeHist(channel)


# A channel, (height, width) uint8, and a strength in -1..1 -> the changed channel
CHANGES = (sharpen, posterize, solarize, autocontrast, equalize)
FIRST_COLOR, FIRST_CHANGE = len(MOVES), len(MOVES) + 3  # columns of what is drawn
COUNT = FIRST_CHANGE + len(CHANGES) + 1  # with the last one, an image stays as it is


def draw(value, count, shape, random):
    """Draws one operation for each image, and its strength: (count, COUNT) in -1..1, 0 but one."""
    strengths = np.zeros((count, COUNT))
    chosen = random.integers(COUNT, size=count)
    strengths[np.arange(count), chosen] = random.uniform(-1, 1, count)
    return {"trivial": strengths}


def move(maps, strengths, shape):
    """Shears, shifts or turns the images for which that was drawn."""
    across, down, x, y, angle = (strengths[:, :FIRST_COLOR] * MOVES).T
    cos, sin = np.cos(angle), np.sin(angle)
    linear = np.array([[cos, across - sin], [down + sin, cos]]).transpose(2, 0, 1)
    return followed(maps, linear, np.column_stack([x, y]), shape)


def recolor(images, strengths):
    """Changes the colors of the images for which that was drawn, in place. The results of `CHANGES`
    are whole gray levels."""
    import cv2

    factors = FACTOR * strengths[:, FIRST_COLOR:FIRST_CHANGE]
    for index, image in enumerate(images):
        if factors[index].any():
            jitter(image[None], [NEUTRAL + np.append(factors[index], 0)])
        for change, strength in zip(CHANGES, strengths[index, FIRST_CHANGE:], strict=False):
            if strength:
                channels = cv2.split(cv2.convertScaleAbs(image))
                image[...] = np.dstack([change(channel, strength) for channel in channels])
