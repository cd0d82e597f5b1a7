import keras
import numpy as np
import pytest
from keras import layers

from tftransfer.freezing.blocks import model_blocks
from tftransfer.freezing.while_training import freeze_while_training, list_slots

OPTIMIZERS = [
    keras.optimizers.SGD(0.1, momentum=0.9, use_ema=True),
    keras.optimizers.Adam(0.01, use_ema=True, amsgrad=True),
    # Its states of a matrix are a row and a column, and none of a vector.
    keras.optimizers.Adafactor(0.01, use_ema=True),
]


class FreezeFirst(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        if epoch == 0:
            freeze_while_training(self.model, model_blocks(self.model)[:1])


def build(optimizer):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((5,))
    x = layers.Dense(7, name="block1")(inputs)
    x = layers.Dense(6, name="block2")(x)
    x = layers.Activation("relu", name="features")(x)
    model = keras.Model(inputs, layers.Dense(2)(x))
    model.compile(optimizer, "mse")
    return model


class PutBack(keras.callbacks.Callback):
    """Put back, after each later step, what a layer had after the first one."""

    def on_epoch_end(self, epoch, logs=None):
        layer = self.model.get_layer("block1")
        if epoch == 0:
            self.weights = layer.get_weights()
        layer.set_weights(self.weights)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda x: x.name)
def test_what_goes_on_keeps_its_states(optimizer, rng):
    """Equal to an optimizer that steps on all, and the first layer put back."""
    x, y = rng.normal(size=(8, 5)), rng.normal(size=(8, 2))
    models, callbacks = [], [FreezeFirst(), PutBack()]
    for callback in callbacks:
        model = build(type(optimizer).from_config(optimizer.get_config()))
        model.fit(x, y, epochs=4, batch_size=8, verbose=0, callbacks=[callback])
        models.append(model)
    for one, other in zip(*(model.weights[2:] for model in models), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    frozen = models[0].get_layer("block1").get_weights()
    for one, other in zip(frozen, callbacks[1].weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_slots_are_found_whatever_their_shape():
    model = build(keras.optimizers.Adafactor())
    model.optimizer.build(model.trainable_variables)
    slots = list_slots(model.optimizer, 6)
    assert sorted(slots) == ["_c", "_r", "_v"]
    assert [tuple(x.shape) for x in slots["_r"][:2]] != [(5, 7), (7,)]
