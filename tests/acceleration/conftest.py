"""Networks whose frozen part can run once, and an empty store for each test."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import tftransfer as tft
from tests.freezing.conftest import build_block


@pytest.fixture(autouse=True)
def store(tmp_path, monkeypatch):
    """An empty store."""
    folder = tmp_path / "store"
    monkeypatch.setenv("TFTRANSFER_CACHE", str(folder))
    return folder


def build_base(name="base"):
    """Blocks stem, block1, block2 and pooled features; statistics are not trivial."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input((None, None, 3))
    x = layers.Resizing(8, 8, antialias=True, name=f"{name}_resizing")(
        inputs, training=False
    )
    x = layers.Rescaling(1 / 255.0)(x)
    x = layers.Conv2D(4, 3, use_bias=False, name="stem_conv")(x)
    x = layers.BatchNormalization(name="stem_bn")(x)
    x = layers.ReLU(name="stem_relu")(x)
    x = build_block(build_block(x, "block1", 4), "block2", 8)
    x = layers.GlobalAveragePooling2D(name="features")(x)
    model = keras.Model(inputs, x, name=name)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.moving_mean.assign(0.1 + layer.moving_mean)
            layer.moving_variance.assign(0.5 * layer.moving_variance)
    return model


def build_model(dropout=0.0, hidden=0, base=None):
    """The usual model: a flat graph, everything below `features` frozen, SGD."""
    base = base or build_base()
    keras.utils.set_random_seed(2)
    x = base.output
    if hidden:
        x = layers.Dense(hidden, activation="relu", name="hidden")(x)
    if dropout:
        x = layers.Dropout(dropout, seed=3, name="dropout")(x)
    model = keras.Model(base.input, layers.Dense(3, name="logits")(x))
    for layer in base.layers:
        layer.trainable = False
    return compile_model(model)


def compile_model(model, optimizer=None, **settings):
    """Compile with momentum, so that order and step counts matter."""
    model.compile(
        optimizer or keras.optimizers.SGD(0.05, momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        **settings,
    )
    return model


@pytest.fixture
def images():
    """Images `(26, 8, 8, 3)` uint8, and labels 0..2."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (26, 8, 8, 3)).astype("uint8")
    return pixels, rng.integers(0, 3, 26)


@pytest.fixture
def train(images):
    """Batches of 8 in a fixed order, the last one shorter."""
    return tf.data.Dataset.from_tensor_slices(images).batch(8)


class Build:
    """What tests build with; one name to ask for."""

    base = staticmethod(build_base)
    model = staticmethod(build_model)
    compiled = staticmethod(compile_model)

    @staticmethod
    def weights(model):
        """All weights as one vector."""
        return np.concatenate([np.ravel(weight) for weight in model.get_weights()])


@pytest.fixture
def build():
    """Builders of networks."""
    return Build


@pytest.fixture
def both(build, capsys):
    """Train equal models without and with the fast path; it must have been taken."""

    def train_both(make, train, **settings):
        settings = {"epochs": 3, "frozen_epochs": 0, "verbose": 2} | settings
        models, histories = [], []
        for cache in (False, "auto"):
            model = make()
            keras.utils.set_random_seed(7)
            engine = {"cache": cache, "engine": "tensorflow"}
            histories.append(tft.fine_tune(model, train, **settings, **engine))
            models.append(model)
        assert "rows of features at" in capsys.readouterr().out
        np.testing.assert_allclose(*map(build.weights, models), rtol=0, atol=1e-5)
        plain, stored = (history.history for history in histories)
        assert plain.keys() == stored.keys()
        for name, values in plain.items():
            np.testing.assert_allclose(stored[name], values, rtol=1e-5, err_msg=name)
        moved = build.weights(make()) - build.weights(models[1])
        assert np.abs(moved).max() > 1e-3
        return models[1]

    return train_both
