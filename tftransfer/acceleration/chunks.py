"""Many training steps in one call.

A step of a small head costs less than Python and `tf.data` need to hand it a batch. So
`fit` is given a training function that runs hundreds of the model's own `train_step`
in one graph. Their rows are loaded together, the next ones while these are trained on,
so that memory holds two chunks of some megabytes, however many rows there are.
"""

import concurrent.futures
import contextlib

import keras
import numpy as np
import tensorflow as tf

from tftransfer.distribution.scope import find_strategy

_STEPS = 256  # in one call: the progress bar still moves a few times a second
_CHUNK_BYTES = 2**24  # of rows; more would cost memory and gain no time
_WORTH = 500  # steps of a whole `fit` from which a longer trace pays
_BATCH_HOOKS = (
    "on_batch_begin",
    "on_batch_end",
    "on_train_batch_begin",
    "on_train_batch_end",
    "on_test_batch_begin",
    "on_test_batch_end",
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
        rows: `Rows`.
        callbacks: List of callbacks; one that looks at batches wants each of them.
        epochs: Number of epochs.
    """
    return (
        keras.backend.backend() == "tensorflow"
        and len(rows.row_shape) == 1  # above vectors, steps are short
        and rows.num_batches * epochs >= _WORTH
        and not model.run_eagerly
        and not model.jit_compile
        and model.steps_per_execution == 1
        and find_strategy(model) is None
        and not any(map(_looks_at_batches, callbacks))
    )


@contextlib.contextmanager
def training_in_chunks(model, rows):
    """Give `model` a training function that runs many steps in one call.

    For the time of the context, `fit` on `rows.dataset()` takes the same rows in the
    same order, but past the dataset's iterator.

    Args:
        model: Compiled `keras.Model` inside `resume_above`.
        rows: `Rows`.

    Yields:
        A callback that `fit` needs as well.
    """
    most = max(1, _CHUNK_BYTES // rows.batch_bytes)
    model.steps_per_execution = min(_STEPS, rows.num_batches, most)
    with fresh_traces(model), concurrent.futures.ThreadPoolExecutor(1) as loader:
        model.train_function = _Chunks(model, rows, loader)
        try:
            yield _SingleSteps()
        finally:
            model.steps_per_execution = 1


@contextlib.contextmanager
def fresh_traces(model):
    """Let a model trace its functions anew inside, and give it back those it had.

    A trace knows the shape of what it was made for, not the cut, nor the number of
    steps in one execution.
    """
    names = ("train_function", "test_function", "predict_function")
    before = {name: getattr(model, name) for name in names}
    for name in names:
        setattr(model, name, None)
    try:
        yield
    finally:
        for name, function in before.items():
            setattr(model, name, function)


class _SingleSteps(keras.callbacks.Callback):
    """Ends many steps per execution for all but the training that has begun.

    `fit` has read the number for its own iterator; evaluation inside it, and callbacks
    that predict, go step by step.
    """

    def on_train_begin(self, logs=None):
        """Set the number back."""
        self.model.steps_per_execution = 1


class _Chunks:
    """The training function: called by `fit` once for every chunk of steps."""

    def __init__(self, model, rows, loader):
        self._model, self._rows, self._loader = model, rows, loader
        self._size = model.steps_per_execution
        self._epoch = None
        self._chunks: list = []
        self._functions: dict = {}  # one for each size of batches

    def __call__(self, iterator):
        logs = None
        for leaves in self._take():
            logs = self._function(leaves)(*leaves)
        return logs

    def skip(self):
        """Leave the next chunk out."""
        self._take()

    def _take(self):
        if self._epoch != self._rows.epoch:
            self._epoch = self._rows.epoch
            self._chunks = self._cut_epoch()
            self._next = self._loader.submit(self._load_next)
        groups = self._next.result()
        self._next = self._loader.submit(self._load_next)
        return groups

    def trace_again(self):
        """Forget the traces: other layers learn from here on."""
        self._functions.clear()

    def _function(self, leaves):
        size = leaves[0].shape[1]
        if size not in self._functions:
            signature = [tf.TensorSpec([None, *x.shape[1:]], x.dtype) for x in leaves]
            self._functions[size] = tf.function(
                self._run_steps, input_signature=signature, autograph=False
            )
        return self._functions[size]

    def _cut_epoch(self):
        """Return the chunks of the epoch, the last one first, as `(view, batches)`."""
        view, order = self._rows.order()
        batches = np.split(order, self._rows.splits[1:-1])
        starts = range(0, len(batches), self._size)
        chunks = [(view, batches[start : start + self._size]) for start in starts]
        return chunks[::-1]

    def _load_next(self):
        """Load the next chunk: for batches of one size after the other, `(s, b, ...)`.

        In nearly all chunks there is one such group; the last batch may be shorter.
        """
        if not self._chunks:
            return None
        view, batches = self._chunks.pop()
        return [
            [
                leaf.reshape(len(group), -1, *leaf.shape[1:])
                for leaf in self._rows.load(view, np.concatenate(group))
            ]
            for group in _group_by_size(batches)
        ]

    def _run_steps(self, *leaves):
        def step(index):
            batch = self._rows.pack([leaf[index] for leaf in leaves])
            self._model.train_step(batch)
            return index + 1

        count = tf.shape(leaves[0])[0]
        tf.while_loop(lambda index: index < count, step, (tf.constant(0),))
        return self._model.get_metrics_result()


def _group_by_size(batches):
    groups: list = []
    for batch in batches:
        if groups and len(groups[-1][-1]) == len(batch):
            groups[-1].append(batch)
        else:
            groups.append([batch])
    return groups


def _looks_at_batches(callback):
    if getattr(callback, "counts_calls", False):  # of the training function
        return False
    if isinstance(callback, _PER_EPOCH):
        frequency = getattr(callback, "update_freq", getattr(callback, "save_freq", 0))
        return frequency != "epoch" or bool(getattr(callback, "_should_trace", False))
    # A `LambdaCallback` has its functions on the instance.
    return any(
        getattr(getattr(callback, name), "__func__", None)
        is not getattr(keras.callbacks.Callback, name)
        for name in _BATCH_HOOKS
    )
