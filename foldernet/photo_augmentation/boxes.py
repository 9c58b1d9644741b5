"""Boxes within images: crops, which are part of the warp, and erased ones.

Zhong et al. (2020), "Random Erasing Data Augmentation", arXiv:1708.04896, with the mean color in
place of noise.
"""

import numpy as np

from foldernet.photo_augmentation.colors import mean

CROP_RATIO, ERASED_RATIO = 4 / 3, 3.3  # largest; the smallest are their reciprocals
ERASED = (0.02, 1 / 3)  # smallest and largest share of the area


def draw(areas: np.ndarray, ratio: float, random: np.random.Generator) -> np.ndarray:
    """Boxes anywhere within an image.

    Args:
        areas: (n,) shares of the image's area, 0..1.
        ratio: the largest aspect ratio, relative to the image's, 1 or more; the smallest is its
            reciprocal. Logarithms are uniform, over what fits into the image.

    Returns:
        (n, 4) left, top, width and height as shares of the image's sides.
    """
    shape, left, top = random.random((3, len(areas)))
    # Neither sqrt(area * ratio) nor sqrt(area / ratio) may exceed 1.
    reach = np.minimum(np.log(ratio), -np.log(np.maximum(areas, 1e-9)))
    stretch, side = np.exp((shape - 0.5) * reach), np.sqrt(areas)
    width, height = side * stretch, side / stretch
    return np.stack([left * (1 - width), top * (1 - height), width, height], axis=1)


def region(box: np.ndarray, shape: tuple[int, int]) -> tuple[slice, slice]:
    """The rows and columns of the pixels that a box covers in an image of (height, width)."""
    start, size = box[1::-1] * shape, box[:1:-1] * shape
    edges = np.rint([start, start + size]).astype(int)
    return slice(*edges[:, 0]), slice(*edges[:, 1])


def followed(maps, linear, shift, shape) -> np.ndarray:
    """Affine maps (n, 2, 3), each followed by another about the center: (n, 2, 2), and a shift
    along x and y as shares of the sides, (n, 2)."""
    sides = np.array(shape[::-1])
    center = (sides - 1) / 2
    maps = linear @ maps
    maps[:, :, 2] += center + shift * sides - linear @ center
    return maps


def draw_crop(value, count, shape, random):
    """Draws the boxes that are cut out."""
    return {"crop": draw(random.uniform(value, 1, count), CROP_RATIO, random)}


def crop(maps, boxes, shape):
    """Puts each box in the place of its image."""
    position, size = boxes[:, :2], boxes[:, 2:]
    return followed(maps, size[:, :, None] * np.eye(2), position + size / 2 - 0.5, shape)


def draw_erased(value, count, shape, random):
    """Draws the boxes that are erased; those of images that stay whole are empty."""
    boxes = draw(random.uniform(*ERASED, count), ERASED_RATIO, random)
    return {"erased": boxes * (random.random((count, 1)) < value)}


def erase(images, boxes):
    """Fills each box with the mean color of its image."""
    for image, box in zip(images, boxes, strict=True):
        if box.any():
            image[region(box, image.shape[:2])] = mean(image)
