"""A small model of two blocks and a head, and gradients for it."""

import keras
import numpy as np
import pytest
from keras import layers


@pytest.fixture
def build():
    """Build the same model again and again, not compiled."""

    def build_():
        keras.utils.set_random_seed(7)
        inputs = keras.Input((6,))
        x = layers.Dense(8, activation="relu", name="block1")(inputs)
        x = layers.Dense(8, activation="relu", name="block2")(x)
        x = layers.Activation("linear", name="features")(x)
        return keras.Model(inputs, layers.Dense(3, name="logits")(x))

    return build_


@pytest.fixture
def arrays(rng):
    """40 rows of 6 numbers, and classes 0..2 that a linear model finds."""
    inputs = rng.normal(size=(40, 6)).astype("float32")
    return inputs, (inputs @ rng.normal(size=(6, 3))).argmax(axis=1)


@pytest.fixture
def train(arrays):
    """Compile and fit a model in batches of 8, in a fixed order."""

    def train_(model, optimizer, epochs=2, **settings):
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(optimizer, loss, **settings)
        model.fit(*arrays, batch_size=8, epochs=epochs, shuffle=False, verbose=0)
        return model

    return train_


@pytest.fixture
def gradients(rng):
    """Draw gradients for variables, the same for the same step."""

    def gradients_(variables, step):
        draw = np.random.default_rng(step).normal
        return [
            keras.ops.convert_to_tensor(draw(size=x.shape), dtype=x.dtype)
            for x in variables
        ]

    return gradients_


@pytest.fixture
def equal_weights():
    """Assert that two models have the same weights, to the bit unless told."""

    def equal_weights_(one, other, **tolerance):
        for a, b in zip(one.weights, other.weights, strict=True):
            if tolerance:
                np.testing.assert_allclose(a, b, err_msg=a.path, **tolerance)
            else:
                np.testing.assert_array_equal(a, b, err_msg=a.path)

    return equal_weights_
