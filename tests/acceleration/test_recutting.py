"""One call of `fit` in pieces: what callbacks hear, and what comes back."""

import keras
import numpy as np
import pytest
from keras import layers

from tftransfer.acceleration.recutting import fit_in_pieces
from tftransfer.freezing.while_training import freeze_while_training, narrow_optimizer


class Freezer(keras.callbacks.Callback):
    """Freezes the bottom after an epoch, as `FreezeThreshold` would."""

    def __init__(self, after):
        super().__init__()
        self.after, self.frozen, self.heard = after, {}, []

    def on_train_begin(self, logs=None):
        self.heard.append("begin")

    def on_epoch_end(self, epoch, logs=None):
        self.heard.append(epoch)
        if epoch == self.after:
            (block,) = [x for x in _blocks(self.model) if x.name == "block1"]
            freeze_while_training(self.model, [block])

    def on_train_end(self, logs=None):
        self.heard.append("end")


def _blocks(model):
    from tftransfer.freezing.blocks import model_blocks

    return model_blocks(model)


@pytest.fixture
def model():
    inputs = keras.Input((3,))
    x = layers.Dense(4, name="block1")(inputs)
    x = layers.Activation("tanh", name="features")(x)
    model = keras.Model(inputs, layers.Dense(1, name="head")(x))
    model.compile(keras.optimizers.Adam(0.01), "mse")
    return model


@pytest.fixture
def pieces():
    return []


@pytest.fixture
def run(model, rng, pieces):
    data = rng.normal(size=(8, 3)), rng.normal(size=(8, 1))

    def run_(**arguments):
        pieces.append((arguments["initial_epoch"], arguments["epochs"]))
        return model.fit(*data, verbose=0, **arguments)

    return run_


def test_a_grown_frozen_bottom_begins_a_new_piece(model, run, pieces):
    freezer, heard = Freezer(after=1), []
    own = keras.callbacks.LambdaCallback(
        on_train_begin=lambda logs: heard.append("begin"),
        on_train_end=lambda logs: heard.append("end"),
    )
    history = fit_in_pieces(
        model, run, initial_epoch=0, epochs=6, callbacks=[freezer, own]
    )
    assert pieces == [(0, 6), (2, 6)]
    assert freezer.heard == ["begin", 0, 1, 2, 3, 4, 5, "end"]
    assert heard == ["begin", "end"]
    assert history.epoch == [0, 1, 2, 3, 4, 5]
    assert len(history.history["loss"]) == 6
    own.on_train_end(None)
    assert heard == ["begin", "end", "end"]  # it hears again


def test_too_few_epochs_are_not_worth_a_piece(model, run, pieces):
    freezer = Freezer(after=4)
    fit_in_pieces(model, run, initial_epoch=0, epochs=6, callbacks=[freezer])
    assert pieces == [(0, 6)]


def test_a_training_that_is_stopped_stays_so(model, run, pieces):
    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = epoch == 1

    freezer = Freezer(after=1)
    fit_in_pieces(model, run, initial_epoch=0, epochs=6, callbacks=[freezer, Stop()])
    assert pieces == [(0, 6)]
    assert freezer.heard[-1] == "end"


def test_without_anything_that_freezes_there_is_one_piece(model, run, pieces):
    fit_in_pieces(model, run, initial_epoch=1, epochs=3, callbacks=[])
    assert pieces == [(1, 3)]


@pytest.mark.parametrize("ema", [True, False])
def test_a_narrowed_optimizer_keeps_the_state_of_the_rest(model, run, ema):
    model.compile(keras.optimizers.Adam(0.01, use_ema=ema), "mse")
    run(initial_epoch=0, epochs=2)
    optimizer, rest = model.optimizer, model.get_layer("head").trainable_variables
    before = [np.array(x) for x in optimizer._momentums]
    iterations = int(optimizer.iterations)
    narrow_optimizer(optimizer, rest)
    assert int(optimizer.iterations) == iterations
    kept = before[2:] if ema else before  # TensorFlow skips what has no gradient
    for old, new in zip(kept, optimizer._momentums, strict=True):
        np.testing.assert_array_equal(old, np.array(new))
    optimizer.apply([keras.ops.ones(x.shape) for x in rest], rest)
    assert int(optimizer.iterations) == iterations + 1
