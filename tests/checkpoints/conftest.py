"""A small training that stops in the middle, as if it had been killed."""

import keras
import numpy as np
import pytest
from keras import layers

import tftransfer as tft
from tests.killing import KillAt, Killed


@pytest.fixture
def killed_at():
    """Return a callback that raises `Killed` behind a step."""

    def killed_at_(step=0):
        KillAt.step, KillAt.seen = step, 0
        return KillAt()

    return killed_at_


@pytest.fixture
def killed():
    return Killed


@pytest.fixture
def arrays():
    """70 rows of 6 numbers with three classes."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(70, 6)).astype("float32"), np.arange(70) % 3


@pytest.fixture
def build():
    """Build the same compiled model, with dropout and statistics that move."""

    def build_(units=8, optimizer=None):
        keras.utils.set_random_seed(3)
        inputs = keras.Input((6,))
        x = layers.Dense(units, activation="relu")(inputs)
        x = layers.BatchNormalization()(x)
        x = layers.Dropout(0.3)(x)
        model = keras.Model(inputs, layers.Dense(3)(x))
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(
            optimizer or keras.optimizers.Adam(0.01), loss, metrics=["accuracy"]
        )
        return model

    return build_


@pytest.fixture
def train(build, arrays, killed_at):
    """Train with `Resume` until a step; return the model and its history."""

    def train_(folder, kill=0, data=None, callbacks=(), every=2, **arguments):
        model = build()
        data = {"x": arrays[0], "y": arrays[1]} if data is None else data()
        arguments = {"epochs": 3, "batch_size": None, "verbose": 0, **arguments}
        if "y" in data:
            arguments["batch_size"] = 16
        resume = tft.Resume(folder, every, verbose=False)
        history = model.fit(
            **data, callbacks=[*callbacks, resume, killed_at(kill)], **arguments
        )
        return model, history

    return train_


@pytest.fixture
def ends_equal(train, killed, tmp_path):
    """Assert that trainings killed behind some steps end as one that was not."""

    def ends_equal_(kills, callbacks=list, **arguments):
        whole, history = train(tmp_path / "whole", callbacks=callbacks(), **arguments)
        for kill in kills:
            folder = tmp_path / f"killed_{kill}"
            with pytest.raises(killed):
                train(folder, kill, callbacks=callbacks(), **arguments)
            model, again = train(folder, callbacks=callbacks(), **arguments)
            for one, other in zip(
                whole.get_weights(), model.get_weights(), strict=True
            ):
                np.testing.assert_array_equal(one, other)
            assert again.epoch == history.epoch
            assert again.history == history.history
        return whole, history

    return ends_equal_
