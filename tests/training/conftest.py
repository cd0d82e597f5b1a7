"""A small vector model with a backbone of two blocks and easy data."""

import keras
import numpy as np
import pytest
from keras import layers


@pytest.fixture
def build():
    """Build the same compiled model again and again."""

    def build_(num_outputs=3, loss=None, optimizer=None, dropout=0.0):
        keras.utils.set_random_seed(7)
        inputs = keras.Input((6,))
        x = layers.Dense(8, activation="relu", name="block1")(inputs)
        x = layers.Dense(8, activation="relu", name="block2")(x)
        x = layers.Activation("linear", name="features")(x)
        x = layers.Dropout(dropout, name="head_dropout")(x)
        model = keras.Model(inputs, layers.Dense(num_outputs, name="logits")(x))
        loss = loss or keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(optimizer or keras.optimizers.SGD(0.1), loss)
        return model

    return build_


@pytest.fixture
def arrays(rng):
    """80 rows of 6 numbers, and classes 0..2 that a linear model finds."""
    inputs = rng.normal(size=(80, 6)).astype("float32")
    return inputs, (inputs @ rng.normal(size=(6, 3))).argmax(axis=1)


@pytest.fixture
def equal_weights():
    """Assert that two models have the same weights to the bit."""

    def equal_weights_(one, other):
        for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)

    return equal_weights_
