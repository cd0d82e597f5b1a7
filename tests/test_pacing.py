import keras
import numpy as np
import pytest

from tftransfer import pacing
from tftransfer.pacing import Clock, Pace


class FakeTime:
    """A clock that goes on by what the test says."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr(pacing.time, "perf_counter", lambda: self.now)


class Rates(keras.callbacks.Callback):
    """Notes the rate of each step and lets it take a time."""

    def __init__(self, clock, seconds):
        super().__init__()
        self.clock, self.seconds, self.rates = clock, seconds, []

    def on_train_batch_begin(self, batch, logs=None):
        self.rates.append(float(self.model.optimizer.learning_rate))
        self.clock.now += self.seconds


@pytest.fixture
def train(monkeypatch):
    clock = FakeTime(monkeypatch)

    def run(steps, least, budget, seconds):
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        model.compile(keras.optimizers.SGD(0.5), "mse")
        pace = Pace(steps, least, Clock(budget))
        rates = Rates(clock, seconds)
        rows = np.zeros((80, 2), "float32"), np.zeros(80, "float32")
        model.fit(
            *rows, batch_size=2, epochs=5, callbacks=[pace, rates], verbose=0
        )  # 40 steps an epoch
        return pace, rates.rates, clock.now

    return run


def test_the_clock_tells_what_is_left(monkeypatch):
    now = FakeTime(monkeypatch)
    clock = Clock(10)
    now.now += 12
    assert clock.spent == 12 and clock.left == -2


def test_with_time_enough_the_rate_falls_along_a_cosine(train):
    pace, rates, _ = train(60, 10, budget=1000.0, seconds=1.0)
    assert pace.done == pace.planned == 60 and pace.fits
    expected = 0.25 * (1 + np.cos(np.pi * np.arange(60) / 60))
    np.testing.assert_allclose(rates, expected, atol=1e-6)


def test_where_time_is_short_fewer_steps_are_planned(train):
    pace, rates, spent = train(150, 10, budget=50.0, seconds=1.0)
    assert pace.done == 50 and spent == 50 and pace.fits
    assert rates[-1] < 0.01  # the rate has fallen all the same
    assert pace.seconds == 1.0


def test_what_cannot_be_worth_having_ends_at_once(train):
    pace, _, spent = train(150, 100, budget=50.0, seconds=1.0)
    assert not pace.fits and pace.done == 13 and spent == 13


def test_time_already_spent_ends_after_one_step(train):
    pace, _, _ = train(150, 100, budget=0.5, seconds=1.0)
    assert pace.done == 1 and not pace.fits
