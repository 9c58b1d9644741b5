"""Where a classifier looks: heat maps by gradients, and by covering parts of the image.

Neither explains a network; both say which part of an image its answer depends on.
"""

from collections.abc import Callable
from typing import Any

import cv2
import keras
import numpy as np
import tensorflow as tf

from foldernet.terminal import UserError

PATCHES = 9  # per side, that occlusion covers one after the other, each half over the next
GRAY = 127.5
CONVOLUTIONS = keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.SeparableConv2D


def feature_map_layer(model: keras.Model) -> keras.Layer | None:
    """The last layer from the last convolution on, in nested models too, whose output is a map:
    (n, height, width, channels)."""
    maps = [layer for layer in model._flatten_layers() if _is_map(layer)]
    return maps[-1] if any(isinstance(layer, CONVOLUTIONS) for layer in maps) else None


def grad_cam(model: keras.Model, images: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Heat maps by the gradient of a class's probability at the network's last feature map.

    Selvaraju et al. (2017), "Grad-CAM: Visual Explanations from Deep Networks via Gradient-Based
    Localization", arXiv:1610.02391, with the logarithm of the probability as the score.

    Args:
        images: (n, height, width, channels) pixels 0..255.
        classes: (n,) int, the class of each that is asked for.

    Returns:
        (n, height, width) float32, 0..1, 1 where the class's probability depends on most.

    Raises:
        UserError: the network has no feature map.
    """
    layer, seen = feature_map_layer(model), []
    if layer is None:
        raise UserError(f"No layer of '{model.name}' gives a map of the image for Grad-CAM.")
    call = layer.call

    def recorded(*arguments: Any, **named: Any) -> Any:
        seen.append(call(*arguments, **named))
        tape.watch(seen[-1])  # and nothing before it, which would be kept, too
        return seen[-1]

    layer.call = recorded  # so that layers of nested models can be looked into, too
    try:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            outputs = model(tf.convert_to_tensor(images, tf.float32), training=False)
            score = tf.math.log(tf.gather(outputs, classes, axis=1, batch_dims=1) + 1e-12)
        slopes = tape.gradient(score, seen[-1])
    finally:
        layer.call = call
    weights = tf.reduce_mean(slopes, axis=(1, 2), keepdims=True)
    heat = tf.nn.relu(tf.reduce_sum(weights * seen[-1], axis=-1)).numpy()
    return _scaled(heat, images.shape[1:3])


def occlusion(
    predict: Callable[[np.ndarray], np.ndarray], image: np.ndarray, label: int
) -> np.ndarray:
    """A heat map without gradients: how much of a class's probability is lost where a gray patch
    covers the image.

    Zeiler & Fergus (2014), "Visualizing and Understanding Convolutional Networks",
    arXiv:1311.2901.

    Args:
        predict: (n, height, width, channels) pixels 0..255 -> (n, classes) probabilities.
        image: (height, width, channels).
        label: the class that is asked for.

    Returns:
        (height, width) float32, 0..1.
    """
    height, width = image.shape[:2]
    patch = -(-2 * height // PATCHES), -(-2 * width // PATCHES)
    covered = np.repeat(image[None].astype("float32"), 1 + PATCHES**2, axis=0)
    for at, (row, column) in enumerate(np.ndindex(PATCHES, PATCHES), start=1):
        top, left = ((row * height) // PATCHES, (column * width) // PATCHES)
        covered[at, top : top + patch[0], left : left + patch[1]] = GRAY
    whole, *others = predict(covered)[:, label]
    lost = np.maximum(whole - np.array(others), 0).reshape(1, PATCHES, PATCHES)
    return _scaled(lost.astype("float32"), (height, width))[0]


def overlaid(image: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """An image, (height, width, channels) 0..255, in gray under its heat map: (height, width, 3)
    uint8."""
    gray = image.mean(axis=2, keepdims=True).astype("float32")
    colors = cv2.applyColorMap(np.uint8(255 * heat), cv2.COLORMAP_INFERNO)[..., ::-1]
    share = 0.15 + 0.6 * heat[..., None]
    return np.uint8((1 - share) * gray + share * colors)


def _is_map(layer: keras.Layer) -> bool:
    shape = getattr(getattr(layer, "output", None), "shape", ())  # it may have several, or none
    inner = not isinstance(layer, keras.Model | keras.layers.InputLayer)
    return inner and len(shape) == 4 and None not in shape[1:3] and min(shape[1:3]) > 1


def _scaled(heat: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Heat maps, (n, rows, columns), from 0 to 1 and at an image's size."""
    heat = np.stack([cv2.resize(each, size[::-1], interpolation=cv2.INTER_LINEAR) for each in heat])
    return heat / np.maximum(heat.max(axis=(1, 2), keepdims=True), 1e-12)
