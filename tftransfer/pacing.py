"""A time budget, and training that stays within it."""

import math
import time

import keras

_STARTING = 3  # steps that take longer than others
TIMED = 10  # further steps before anything is concluded


class Clock:
    """What is left of a time budget.

    Args:
        seconds: The whole budget, from now on.

    Example:

    >>> from tftransfer.pacing import Clock
    >>> 59 < Clock(60).left <= 60
    True
    """

    def __init__(self, seconds):
        self.budget = seconds
        self._start = time.perf_counter()

    @property
    def spent(self):
        """Seconds since the start."""
        return time.perf_counter() - self._start

    @property
    def left(self):
        """Seconds until the budget is spent; below 0 afterwards."""
        return self.budget - self.spent


class Pace(keras.callbacks.Callback):
    """Ends training after a number of steps, or earlier where time is short.

    The learning rate falls from its start to 0 along a half cosine over the steps
    planned. Where the steps prove too slow for the time, fewer are planned, so that
    the rate still ends at 0; with time enough, training does not depend on the clock.
    Where even the least number of steps does not fit, it ends at once.

    Args:
        steps: Steps wanted.
        least: Steps without which training is not worth having.
        clock: `Clock` with the seconds that training may take.

    Attributes:
        done: Steps taken.
        planned: Steps planned now.
        seconds: What a step takes, once that is known.
    """

    def __init__(self, steps, least, clock):
        super().__init__()
        self.done, self.planned = 0, steps
        self.seconds: float | None = None
        self._least, self._clock = min(least, steps), clock
        self._rate = self._started = 0.0

    @property
    def fits(self):
        """Whether at least the least number of steps was, or can be, taken."""
        return self.planned >= self._least

    def on_train_begin(self, logs=None):
        """Read the rate to start from."""
        self._rate = float(
            keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)
        )

    def on_train_batch_begin(self, batch, logs=None):
        """Set the rate of this step."""
        share = min(self.done / max(self.planned, 1), 1.0)
        self.model.optimizer.learning_rate = (
            self._rate * (1 + math.cos(math.pi * share)) / 2
        )

    def on_train_batch_end(self, batch, logs=None):
        """Count the step, look at the clock, and end where it is time."""
        self.done += 1
        if self.done == _STARTING:
            self._started = self._clock.spent
        timed = self.done - _STARTING
        left = self._clock.left
        if timed >= TIMED:
            self.seconds = (self._clock.spent - self._started) / timed
            possible = self.done + max(left, 0) / self.seconds
            self.planned = min(self.planned, int(possible))
        elif left <= 0:
            self.planned = self.done
        if self.done >= self.planned or not self.fits:
            self.model.stop_training = True
