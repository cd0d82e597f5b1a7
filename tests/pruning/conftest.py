"""Small networks whose channels are tied in the ways that networks tie them."""

import keras
import numpy as np
import pytest
from keras import layers

from tftransfer.pruning.channels import trace_channels
from tftransfer.pruning.masks import Masks


def _norm(x, name):
    return layers.ReLU(6.0)(layers.BatchNormalization(name=name)(x))


def _inverted_residual():
    """A residual block with squeeze-and-excitation, as in MobileNetV3, and a head."""
    inputs = keras.Input((8, 8, 3), name="image")
    x = layers.Rescaling(1 / 255, name="rescaling")(inputs)
    x = stem = _norm(
        layers.Conv2D(6, 3, use_bias=False, name="stem_conv")(x), "stem_bn"
    )
    x = _norm(layers.Conv2D(10, 1, name="block1_expand")(x), "block1_expand_bn")
    x = layers.DepthwiseConv2D(3, padding="same", name="block1_depthwise")(x)
    x = _norm(x, "block1_depthwise_bn")
    gate = layers.GlobalAveragePooling2D(name="block1_squeeze")(x)
    gate = layers.Reshape((1, 1, 10), name="block1_se_reshape")(gate)
    gate = layers.Conv2D(4, 1, activation="relu", name="block1_se_reduce")(gate)
    gate = layers.Conv2D(10, 1, activation="sigmoid", name="block1_se_expand")(gate)
    x = layers.Multiply(name="block1_excite")([x, gate])
    x = layers.Conv2D(6, 1, name="block1_project")(x)
    x = layers.BatchNormalization(name="block1_project_bn")(x)
    x = layers.Add(name="block1_add")([x, stem])
    x = layers.GlobalAveragePooling2D(name="features")(x)
    x = layers.Dense(16, activation="relu", name="head_dense_1")(x)
    return keras.Model(inputs, layers.Dense(3, name="logits")(x), name="residual")


def _side_by_side():
    """Branches side by side, a multiplying depthwise kernel, Flatten, operations."""
    inputs = keras.Input((6, 6, 2))
    one = layers.Conv2D(4, 3, padding="same", name="one")(inputs)
    two = layers.Conv2D(3, 3, padding="same", name="two")(keras.ops.relu(inputs))
    x = layers.Concatenate(name="beside")([one, two])
    x = layers.BatchNormalization(name="bn")(x) * 0.5 + 1.0
    x = layers.DepthwiseConv2D(3, depth_multiplier=2, name="depthwise")(x)
    x = layers.MaxPooling2D(2)(keras.ops.silu(x))
    x = layers.Conv2DTranspose(5, 2, name="up")(x)
    x = layers.Flatten(name="features")(x)
    x = layers.Dropout(0.2)(layers.Dense(7, activation="tanh", name="hidden")(x))
    return keras.Model(inputs, layers.Dense(2, name="logits")(x), name="beside")


NETWORKS = {"inverted_residual": _inverted_residual, "side_by_side": _side_by_side}


@pytest.fixture(scope="session")
def residual():
    """The first of `NETWORKS`, to be looked at only."""
    return _inverted_residual()


@pytest.fixture(scope="session")
def beside():
    """The second of `NETWORKS`, to be looked at only."""
    return _side_by_side()


@pytest.fixture
def build(rng):
    """Build one of `NETWORKS` with random weights everywhere, statistics too."""

    def build_(name="inverted_residual"):
        model = NETWORKS[name]()
        for weight in model.weights:
            value = rng.normal(size=weight.shape) * 0.5
            is_variance = weight.name == "moving_variance"
            weight.assign(np.abs(value) + 0.5 if is_variance else value)
        return model

    return build_


@pytest.fixture
def switch_off():
    """Give a model the masks that leave `kept` of some layers, once."""

    def switch_off_(model, kept):
        channels = trace_channels(model)
        gone = []
        for name, places in kept.items():
            units = channels.units_of(channels.named(name, "kept"))
            gone.append(np.delete(units, list(places)))
        gone = np.unique(np.concatenate(gone))
        Masks(channels, gone).set(model, gone)
        return model

    return switch_off_


@pytest.fixture
def build_mlp():
    """Build a compiled network on vectors with a block and a hidden layer."""

    def build_(optimizer=None, *, units=(24, 16), run_eagerly=False):
        keras.utils.set_random_seed(7)
        inputs = keras.Input((6,))
        x = layers.Dense(units[0], activation="tanh", name="block1")(inputs)
        x = layers.Activation("linear", name="features")(x)
        x = layers.Dense(units[1], activation="relu", name="head_dense_1")(x)
        model = keras.Model(inputs, layers.Dense(3, name="logits")(x))
        model.compile(
            optimizer or keras.optimizers.Adam(0.01),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
            run_eagerly=run_eagerly,
        )
        return model

    return build_


@pytest.fixture
def arrays(rng):
    """64 rows of 6 numbers, and classes 0..2 that a linear model finds."""
    inputs = rng.normal(size=(64, 6)).astype("float32")
    return inputs, (inputs @ rng.normal(size=(6, 3))).argmax(axis=1)
