"""Small frozen functions for the engines."""

import keras
import numpy as np
import pytest

from tftransfer.resizing import build_resizing


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (10, 8, 8, 3)).astype("float32")


@pytest.fixture
def function():
    """Convolution, BatchNormalization with statistics of its own, pooling."""
    return freeze_model(build_small_model())


@pytest.fixture
def resizing_function():
    """The same behind a layer that brings images of any size to 8 x 8."""
    return freeze_model(build_small_model(resizing=True))


def build_small_model(resizing=False):
    inputs = keras.Input((None, None, 3) if resizing else (8, 8, 3))
    outputs = inputs
    if resizing:
        outputs = build_resizing((8, 8))(outputs, training=False)
    outputs = keras.layers.Conv2D(4, 3, padding="same", activation="relu")(outputs)
    norm = keras.layers.BatchNormalization()
    outputs = norm(outputs)
    outputs = keras.layers.GlobalAveragePooling2D()(outputs)
    norm.moving_mean.assign(np.linspace(-1, 1, 4))
    norm.moving_variance.assign(np.linspace(0.5, 2, 4))
    return keras.Model(inputs, keras.layers.Dropout(0.5)(outputs))


def freeze_model(model):
    return lambda batch: model(batch, training=False)


def run_all(engine, batches):
    return np.concatenate(list(engine.run(batches)))


def relative_error(output, function, batch):
    expected = keras.ops.convert_to_numpy(function(batch))
    assert output.shape == expected.shape
    return np.linalg.norm(output - expected) / np.linalg.norm(expected)


def check_values(build, function, images):
    """Check an engine's values on batches of several sizes, an empty one among them."""
    engine = build(function, images)
    output = run_all(engine, [images[:7], images[7:], images[:0], images])
    expected = np.concatenate([images, images])
    assert relative_error(output, function, expected) < 1e-5


def check_resizing(build, resizing_function, rng):
    """Check an engine's values on images that the function resizes first."""
    images = rng.integers(0, 256, (5, 13, 9, 3)).astype("uint8")
    output = run_all(build(resizing_function, images), [images])
    assert relative_error(output, resizing_function, images) < 1e-5
