"""Many training steps in one call, on rows held in memory.

A step of a small head costs less than Python and `tf.data` need to hand it a batch. So
`fit` is given a training function that runs hundreds of the model's own `train_step`
in one graph and gathers their rows there.
"""

import contextlib

import keras
import numpy as np
import tensorflow as tf

_STEPS = 256  # in one call: the progress bar still moves a few times a second
_WORTH = 500  # steps of a whole `fit` from which a longer trace pays
_WORTH_XLA = 4000  # and those from which compiling pays
_BATCH_HOOKS = (
    "on_batch_begin",
    "on_batch_end",
    "on_train_batch_begin",
    "on_train_batch_end",
)
_PER_EPOCH = (  # of Keras: asked below whether they look at batches at all
    keras.callbacks.BackupAndRestore,
    keras.callbacks.ModelCheckpoint,
    keras.callbacks.TensorBoard,
)


def can_run_chunks(model, rows, callbacks, epochs):
    """Whether training may run many steps at a time, unseen by the user.

    Args:
        model: Compiled `keras.Model`.
        rows: `StoredRows`.
        callbacks: List of callbacks; one that looks at batches wants each of them.
        epochs: Number of epochs.
    """
    return (
        keras.backend.backend() == "tensorflow"
        and rows.is_in_memory
        and len(rows.row_shape) == 1  # above vectors, steps are short
        and rows.num_batches * epochs >= _WORTH
        and not model.run_eagerly
        and model.steps_per_execution == 1
        and not tf.distribute.has_strategy()
        and not any(map(_looks_at_batches, callbacks))
    )


@contextlib.contextmanager
def training_in_chunks(model, rows, *, epochs=1, xla=False):
    """Give `model` a training function that runs many steps in one call.

    For the time of the context, `fit` on `rows.dataset()` takes the same rows in the
    same order, but past the dataset's iterator.

    Args:
        model: Compiled `keras.Model` inside `resume_above`.
        rows: `StoredRows` in memory.
        epochs: Number of epochs that will run.
        xla: Whether XLA may compile the steps, if they are many. It must not where a
            layer draws at random: it would draw other numbers.
    """
    steps_before = model.steps_per_execution
    model.steps_per_execution = min(_STEPS, rows.num_batches)
    xla = xla and rows.num_batches * epochs >= _WORTH_XLA
    run = _Chunks(model, rows, bool(xla or model.jit_compile))
    model.train_function = run
    try:
        yield
    finally:
        model.steps_per_execution = steps_before
        model.train_function = model.test_function = model.predict_function = None


class _Chunks:
    """The training function: called by `fit` once for every chunk of steps."""

    def __init__(self, model, rows, xla):
        self._model, self._rows = model, rows
        self._size = model.steps_per_execution
        self._chunks: list = []
        self._epoch = None
        self._has_run = False
        self._trace(xla)

    def __call__(self, iterator):
        if self._epoch != self._rows.epoch:
            self._chunks, self._epoch = self._cut_epoch(), self._rows.epoch
        chunk = self._chunks.pop()
        try:
            return self._run(*chunk)
        except tf.errors.OpError:
            if not self._uses_xla or self._has_run:
                raise
            self._trace(xla=False)  # some loss or metric that XLA cannot compile
            return self._run(*chunk)
        finally:
            self._has_run = True

    def _trace(self, xla):
        self._uses_xla = xla
        self._run = tf.function(self._run_chunk, jit_compile=xla, autograph=False)

    def _cut_epoch(self):
        """Chunks of the next epoch, the last one first: `(view, rows of each step)`."""
        view, order = self._rows.order()
        splits = self._rows.splits
        batches = [order[a:b] for a, b in zip(splits[:-1], splits[1:], strict=True)]
        return [
            (int(view), _by_size(batches[start : start + self._size]))
            for start in reversed(range(0, len(batches), self._size))
        ]

    def _run_chunk(self, view, groups):
        logs = None
        for group in groups:  # batches of one size; all but the last are, as a rule
            logs = self._run_group(view, group)
        return logs

    def _run_group(self, view, group):
        def step(index):
            return self._model.train_step(self._rows.gather(view, group[index]))

        first = step(0)
        if group.shape[0] == 1:
            return first
        _, logs = tf.while_loop(
            lambda index, logs: index < group.shape[0],
            lambda index, logs: (index + 1, step(index)),
            (tf.constant(1), first),
        )
        return logs


def _by_size(batches):
    groups: list = []
    for batch in batches:
        if groups and len(groups[-1][-1]) == len(batch):
            groups[-1].append(batch)
        else:
            groups.append([batch])
    return [tf.constant(np.stack(group)) for group in groups]


def _looks_at_batches(callback):
    if isinstance(callback, _PER_EPOCH):
        frequency = getattr(callback, "update_freq", getattr(callback, "save_freq", 0))
        return frequency != "epoch" or bool(getattr(callback, "_should_trace", False))
    return any(
        getattr(type(callback), name) is not getattr(keras.callbacks.Callback, name)
        for name in _BATCH_HOOKS
    )
