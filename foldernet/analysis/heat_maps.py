"""Where a classifier looks: heat maps by gradients.

They don't explain a network; they say which part of an image its answer depends on.
"""

import keras
import numpy as np
import tensorflow as tf

from foldernet import networks
from foldernet.terminal import UserError

CONVOLUTIONS = keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.SeparableConv2D


def feature_map_layer(model: keras.Model) -> keras.Layer | None:
    """The last layer from the last convolution on, in nested models too, whose output is a map:
    (n, height, width, channels)."""
    maps = [layer for layer in networks.leaves(model) if _is_map(layer)]
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

    def recorded(*arguments, **named):
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
    heat = tf.nn.relu(tf.reduce_sum(weights * seen[-1], axis=-1, keepdims=True))
    heat = tf.image.resize(heat, images.shape[1:3])[..., 0].numpy()
    return heat / np.maximum(heat.max(axis=(1, 2), keepdims=True), 1e-12)


def _is_map(layer: keras.Layer) -> bool:
    shape = getattr(getattr(layer, "output", None), "shape", ())  # it may have several, or none
    inner = not isinstance(layer, keras.layers.InputLayer)
    return inner and len(shape) == 4 and None not in shape[1:3] and min(shape[1:3]) > 1
