"""A small network of two blocks on vectors, with easy data."""

import keras
import numpy as np
import pytest
from keras import layers

import tftransfer as tft


def no_loss(labels, logits):
    """A loss without gradient: what is added decides alone."""
    return 0.0 * logits


@pytest.fixture
def build():
    """Build the same network again and again, with what is asked for, compiled."""

    def build_(regularization=None, *, optimizer=None, loss=None, dropout=0.0, **more):
        keras.utils.set_random_seed(7)
        inputs = keras.Input((6,))
        x = layers.Dense(8, activation="tanh", name="block1")(inputs)
        x = layers.Dropout(dropout)(x)
        x = layers.Dense(5, activation="tanh", name="block2")(x)
        x = layers.Activation("linear", name="features")(x)
        model = keras.Model(inputs, layers.Dense(3, name="logits")(x))
        if regularization is not None or more:
            model = tft.AlignedModel(model, regularization=regularization, **more)
        model.compile(
            optimizer or keras.optimizers.SGD(0.1),
            loss or keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )
        return model

    return build_


@pytest.fixture
def arrays(rng):
    """40 rows of 6 numbers, and classes 0..2 that a linear model finds."""
    inputs = rng.normal(size=(40, 6)).astype("float32")
    return inputs, (inputs @ rng.normal(size=(6, 3))).argmax(axis=1)


@pytest.fixture
def move(rng):
    """Move the weights of a plain model, and return them as float64 by layer."""

    def move_(model):
        for layer in ("block1", "block2", "logits"):
            layer = model.get_layer(layer)
            layer.set_weights(
                [w + rng.normal(size=w.shape) for w in layer.get_weights()]
            )

    return move_


@pytest.fixture
def read():
    """Return a model's kernels and biases as float64, by name of the layer."""

    def read_(model):
        model = getattr(model, "model", model)
        return {
            name: [w.astype("float64") for w in model.get_layer(name).get_weights()]
            for name in ("block1", "block2", "logits")
        }

    return read_


@pytest.fixture
def fit_without_labels():
    """Train for one step in which only added losses have gradients."""

    def fit_(model, inputs, rate=0.1, epochs=1):
        model.compile(keras.optimizers.SGD(rate), loss=no_loss)
        targets = np.zeros((len(inputs), 3), "float32")
        history = model.fit(
            inputs,
            targets,
            batch_size=len(inputs),
            epochs=epochs,
            shuffle=False,
            verbose=0,
        )
        return history.history

    return fit_


class Weights(keras.callbacks.Callback):
    """Keeps the weights at the end of every epoch, or of every step."""

    def __init__(self, of_steps=False):
        super().__init__()
        self.of_steps, self.kept = of_steps, []

    def on_train_batch_end(self, batch, logs=None):
        if self.of_steps:
            self.kept.append(self.model.get_weights())

    def on_epoch_end(self, epoch, logs=None):
        if not self.of_steps:
            self.kept.append(self.model.get_weights())


@pytest.fixture
def record():
    """Make a callback that keeps weights, in `.kept`."""
    return Weights
