import keras
import pytest


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (3, 12, 16, 3), "uint8")


@pytest.fixture
def make_model():
    """Function that builds a small classifier around one feature map, named `map`."""

    def make(head, size=(12, 16), num_outputs=4, nested=False):
        inputs = keras.Input((*size, 3))
        x = keras.layers.Rescaling(1 / 255)(inputs)
        x = keras.layers.Conv2D(6, 3, strides=2, activation="relu")(x)
        x = keras.layers.BatchNormalization()(x)
        x = keras.layers.Conv2D(5, 2, activation="relu", name="map")(x)
        if nested:
            backbone = keras.Model(inputs, x, name="backbone")
            inputs = keras.Input((*size, 3))
            x = backbone(inputs)
        return keras.Model(inputs, head(x, num_outputs))

    return make


def average_head(x, num_outputs, activation=None):
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dropout(0.5)(x)
    return keras.layers.Dense(
        num_outputs,
        activation=activation,
        bias_initializer="random_normal",
        name="last",
    )(x)


def flat_head(x, num_outputs):
    x = keras.layers.Flatten()(x)
    x = keras.layers.Dense(7, activation="relu", name="hidden")(x)
    return keras.layers.Dense(num_outputs, name="last")(x)


@pytest.fixture
def average():
    return average_head


@pytest.fixture
def flat():
    return flat_head
