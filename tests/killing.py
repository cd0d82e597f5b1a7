"""Callbacks that end a training in the middle, as if its process had been killed."""

import keras


class Killed(Exception):
    """Stands for the end of a process."""


class KillAt(keras.callbacks.Callback):
    """Ends a `fit` behind a step, counted over all epochs; never with 0."""

    step, seen = 0, 0  # of the class: no state that a checkpoint would hold

    def on_train_batch_end(self, batch, logs=None):
        KillAt.seen += 1
        if KillAt.seen == KillAt.step:
            raise Killed


class KillAtEpoch(keras.callbacks.Callback):
    """Ends a `fit` at the beginning of the epoch that `KillAt.step` names."""

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == KillAt.step:
            raise Killed
