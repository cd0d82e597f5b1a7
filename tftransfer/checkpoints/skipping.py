"""Going through the batches of an epoch that were trained on before."""

import tensorflow as tf


def skip_calls(model, callbacks, count, logs, restore):
    """Let the first steps of an epoch that has just begun read data, no more.

    Their batches are taken from the data and left; the other callbacks hear nothing of
    them. The last one is trained on, so that all variables are made that a first step
    makes; then all is set as it was.

    Args:
        model: `keras.Model` inside `fit`.
        callbacks: Its `keras.callbacks.CallbackList`.
        count: Number of calls of the training function, at least 1.
        logs: What the last of them returned then.
        restore: Function that sets the whole state.
    """
    skipped = _Skipped(model, callbacks, count, logs, restore)
    model.train_function = skipped.train
    callbacks.on_train_batch_begin = skipped.ignore
    callbacks.on_train_batch_end = skipped.end


class _Skipped:
    def __init__(self, model, callbacks, count, logs, restore):
        self._model, self._callbacks, self._left = model, callbacks, count
        self._logs, self._restore = logs, restore
        self._function = model.train_function

    def train(self, iterator):
        """Stand in for the training function."""
        try:
            if self._left == 1:
                self._function(iterator)
            elif hasattr(self._function, "skip"):  # that of the fast path
                self._function.skip()
            else:
                for _ in range(self._model.steps_per_execution):
                    next(iterator)
        except (StopIteration, tf.errors.OutOfRangeError):
            self._stop()
            raise ValueError(
                "`train` must hold what it held when the checkpoint was written. "
                f"Received: data that end {self._left} steps before that place. "
                "Restore them, or take another folder to begin anew."
            ) from None
        except BaseException:
            self._stop()
            raise
        return dict(self._logs)

    def ignore(self, step, logs=None):
        """Keep the beginning of a step from the callbacks."""

    def end(self, step, logs=None):
        """Count a step; after the last one all is as it was."""
        self._left -= 1
        if self._left == 0:
            self._stop()
            self._restore()

    def _stop(self):
        self._model.train_function = self._function
        for name in ("on_train_batch_begin", "on_train_batch_end"):
            vars(self._callbacks).pop(name, None)
