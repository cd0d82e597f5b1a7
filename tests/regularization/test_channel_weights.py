import keras
import numpy as np
import pytest
from keras import layers

import tftransfer as tft


@pytest.fixture
def model():
    inputs = keras.Input((5, 5, 2))
    x = layers.Conv2D(3, 2, activation="relu", name="block1")(inputs)
    x = layers.GlobalAveragePooling2D(name="features")(x)
    model = keras.Model(inputs, layers.Dense(2, name="logits")(x))
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def test_weights_are_those_of_the_silenced_network(model, rng):
    inputs = rng.normal(size=(4, 5, 5, 2)).astype("float32")
    labels = np.array([0, 1, 1, 0])
    kernel, bias = model.get_layer("block1").get_weights()

    def losses(silenced=None):
        shut = [kernel.copy(), bias.copy()]
        if silenced is not None:
            shut[0][..., silenced], shut[1][silenced] = 0.0, 0.0
        model.get_layer("block1").set_weights(shut)
        logits = model.predict(inputs, verbose=0).astype("float64")
        shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        return -np.log(shares[np.arange(4), labels])

    grown = np.stack([losses(j) for j in range(3)], axis=1) - losses()[:, None]
    shares = np.exp(grown) / np.exp(grown).sum(axis=1, keepdims=True)
    data = [(inputs[:2], labels[:2]), (inputs[2:], labels[2:])]
    found = tft.measure_channel_weights(model, data, ["block1"])
    np.testing.assert_allclose(found["block1"], shares.mean(axis=0), rtol=1e-4)
    assert tft.DELTA(channel_weights=found).channel_weights["block1"]


def test_places_that_do_not_carry_all_are_refused(model):
    data = [(np.ones((1, 5, 5, 2)), np.zeros(1))]
    with pytest.raises(ValueError, match="Received: 'nowhere'. Take one of"):
        tft.measure_channel_weights(model, data, ["nowhere"])


def test_empty_data_are_refused(model):
    with pytest.raises(ValueError, match="Received: data without any"):
        tft.measure_channel_weights(model, [], ["block1"])
