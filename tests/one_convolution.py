"""A network that is traced in half of the time of simpleconv3, for tests of something else."""

import keras
from keras import layers


def one_convolution(input_shape, classes, batch_norm_momentum=0.9):
    images = keras.Input(input_shape)
    x = layers.Rescaling(1 / 255)(images)
    x = layers.Conv2D(8, 3, strides=2, name="conv1")(x)
    x = layers.BatchNormalization(momentum=batch_norm_momentum, name="bn_conv1")(x)
    x = layers.Flatten()(layers.ReLU()(x))
    x = layers.Dense(classes, activation="softmax", name="probabilities")(x)
    return keras.Model(images, x, name="simpleconv3")
