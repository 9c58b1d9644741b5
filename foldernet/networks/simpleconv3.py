"""simpleconv3: three convolutions and two dense layers, for small images."""

import keras
from keras import layers


def simpleconv3(
    input_shape: tuple[int, int, int], classes: int, batch_norm_momentum: float = 0.9
) -> keras.Model:
    """Build the network; 2.2 million weights at 48x48x3.

    Rescaling is part of it, so that it takes raw pixels wherever it goes.

    Args:
        input_shape: (height, width, channels).
        classes: number of classes.
        batch_norm_momentum: of the moving averages. Keras's 0.99 would leave validation at chance
            for many epochs on a set of a few thousand images.

    Returns:
        A functional model: (n, height, width, channels) pixels 0..255 -> (n, classes) float32
        probabilities.

    Example:
        simpleconv3((48, 48, 3), 10)(images)  # (n, 48, 48, 3) uint8 -> (n, 10) probabilities
    """
    images = keras.Input(input_shape, name="images")
    x = layers.Rescaling(1 / 255, name="rescaling")(images)
    for index, filters in enumerate((12, 24, 48), start=1):
        x = layers.Conv2D(filters, 3, strides=2, padding="same", name=f"conv{index}")(x)
        x = layers.BatchNormalization(momentum=batch_norm_momentum, name=f"bn_conv{index}")(x)
        x = layers.ReLU(name=f"relu{index}")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(1200, activation="relu", name="dense1")(x)
    x = layers.Dense(128, activation="relu", name="dense2")(x)
    probabilities = layers.Dense(classes, activation="softmax", name="probabilities")(x)
    return keras.Model(images, probabilities, name="simpleconv3")
