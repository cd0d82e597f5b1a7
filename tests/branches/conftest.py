"""A small convolutional transfer model with three blocks, and images for it."""

import keras
import numpy as np
import pytest
from keras import layers


@pytest.fixture
def model():
    keras.utils.set_random_seed(3)
    inputs = keras.Input((None, None, 3))
    x = layers.Resizing(8, 8, name="resizing")(inputs, training=False)
    x = layers.Rescaling(1 / 127.5, -1, name="rescaling")(x)
    for block, width in ((1, 4), (2, 6), (3, 8)):
        x = layers.Conv2D(width, 3, padding="same", name=f"block{block}_conv")(x)
        x = layers.BatchNormalization(name=f"block{block}_bn")(x)
        x = layers.ReLU(name=f"block{block}_relu")(x)
    x = layers.GlobalAveragePooling2D(name="features")(x)
    x = layers.Dropout(0.1)(x)
    model = keras.Model(inputs, layers.Dense(2, name="logits")(x))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss, metrics=["accuracy"])
    return model


@pytest.fixture
def data(rng):
    images = rng.integers(0, 255, (16, 10, 12, 3)).astype("float32")
    return images, np.arange(16) % 2
