"""SWA: the mean of the weights of several epochs."""

import keras
import numpy as np

from tftransfer.checks import check_whole_number
from tftransfer.regularization.learning_blocks import read_values, sync_state


class SWA(keras.callbacks.Callback):
    """Stochastic weight averaging: end with the mean of the weights of the last epochs.

    The mean lies in the middle of the region that training runs around in, which often
    generalizes better than its last point. A rate that stays up helps: give `fine_tune`
    a `Stage(..., schedule="constant")`.

    Formula, after epoch `t >= start_epoch`, when `n` epochs are in the mean:

        mean <- (n * mean + w) / (n + 1)

    When `fit` ends the model gets the mean; in `fine_tune` this holds for each stage
    that reaches `start_epoch`, and these weights, not those of the lowest validation
    loss, are kept. Statistics of BatchNormalization are averaged too. Where they learn
    (`batch_norm="train"`) the reference computes them anew: call
    `tft.adapt_batch_norm(model, training_inputs)` afterwards.

    For an exponential mean over steps take what Keras has: an optimizer with
    `use_ema=True`; each stage of `fine_tune` then ends with the mean, and goes on from
    it. (`keras.callbacks.SwapEMAWeights` suits a single `fit`: across stages, each with
    an optimizer of its own, it would swap in averages that have not begun.)

    Args:
        start_epoch: First epoch in the mean, counted from 0, at least 0.

    Attributes:
        num_averaged: Number of epochs in the mean.

    Raises:
        ValueError: If `start_epoch` is negative.
        TypeError: If it is no whole number.

    Example:

    >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> average = tft.SWA(start_epoch=1)
    >>> _ = model.fit(np.ones((4, 1)), np.ones(4), epochs=3, verbose=0,
    ...     callbacks=[average])
    >>> average.num_averaged
    2

    Reference:
        [Izmailov et al., 2018](https://arxiv.org/abs/1803.05407), algorithm 1.
    """

    sets_weights = True  # `fine_tune` then leaves the choice of weights to it

    def __init__(self, start_epoch):
        super().__init__()
        check_whole_number("start_epoch", start_epoch, 0)
        self.start_epoch = start_epoch
        self.num_averaged = 0
        self._mean: list = []

    def on_train_begin(self, logs=None):
        """Begin a new mean."""
        self.num_averaged, self._mean = 0, []

    def on_epoch_end(self, epoch, logs=None):
        """Add the weights of this epoch."""
        if epoch < self.start_epoch:
            return
        sync_state(self.model)
        values = [x.astype(_sum_dtype(x)) for x in read_values(self.model.weights)]
        if not self._mean:
            self._mean = values
        else:
            count = self.num_averaged
            self._mean = [
                (count * mean + value) / (count + 1)
                if np.issubdtype(value.dtype, np.floating)
                else value
                for mean, value in zip(self._mean, values, strict=True)
            ]
        self.num_averaged += 1

    def on_train_end(self, logs=None):
        """Give the model the mean."""
        if self._mean:
            for variable, value in zip(self.model.weights, self._mean, strict=True):
                variable.assign(value.astype(_own_dtype(variable)))


def _sum_dtype(value):
    return "float64" if "float" in str(value.dtype) else value.dtype


def _own_dtype(variable):
    dtype = keras.backend.standardize_dtype(variable.dtype)
    return "float32" if dtype == "bfloat16" else dtype
