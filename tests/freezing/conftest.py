"""Small networks with blocks like the large ones."""

import keras
import numpy as np
import pytest
from keras import layers


def build_block(x, name, width):
    """A residual block."""
    shortcut = layers.Conv2D(width, 1, name=f"{name}_shortcut")(x)
    x = layers.Conv2D(width, 3, padding="same", name=f"{name}_conv")(x)
    x = layers.BatchNormalization(name=f"{name}_bn")(x)
    x = layers.Add(name=f"{name}_add")([shortcut, x])
    return layers.ReLU(name=f"{name}_relu")(x)


def build_backbone(pooling=True):
    """Blocks stem, block1 and block2; the last two are residual."""
    inputs = keras.Input((None, None, 3))
    x = layers.Conv2D(4, 3, use_bias=False, name="stem_conv")(inputs)  # 108 weights
    x = layers.BatchNormalization(name="stem_bn", scale=False)(x)  # 12
    x = layers.ReLU(name="stem_relu")(x)
    x = build_block(x, "block1", 4)  # 20 + 148 + 16 = 184
    x = build_block(x, "block2", 8)  # 40 + 296 + 32 = 368
    if pooling:
        x = layers.GlobalAveragePooling2D(name="features")(x)
    return keras.Model(inputs, x, name="tiny")


@pytest.fixture
def tiny():
    """Functional model, not compiled: stem 120, block1 184, block2 368, head 45."""
    backbone = build_backbone()
    x = layers.Dropout(0.2, name="head_dropout")(backbone.output)
    x = layers.Dense(5, name="logits")(x)
    return keras.Model(backbone.input, x)


@pytest.fixture
def nested():
    """The usual Keras pattern: a whole model called like a layer."""
    inputs = keras.Input((8, 8, 3))
    x = layers.Rescaling(1 / 255.0, name="scale")(inputs)
    x = build_backbone(pooling=False)(x)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dense(6, activation="relu", name="hidden")(x)
    return keras.Model(inputs, layers.Dense(5, name="logits")(x))


@pytest.fixture
def batch(rng):
    """Images `(16, 8, 8, 3)` and labels 0..4."""
    images = rng.uniform(0, 255, (16, 8, 8, 3)).astype("float32")
    return images, np.arange(16) % 5


@pytest.fixture
def compile_model():
    """Compile as `build_transfer_model` does."""

    def compile_(model, optimizer=None):
        model.compile(
            optimizer or keras.optimizers.Adam(1e-3),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
        )
        return model

    return compile_


@pytest.fixture
def moved():
    """Paths of the weights that one epoch of `fit` moves."""

    def moved_(model, images, labels):
        before = {x.path: x.numpy() for x in model.weights}
        model.fit(images, labels, batch_size=8, verbose=0)
        return {x.path for x in model.weights if not np.array_equal(before[x.path], x)}

    return moved_
