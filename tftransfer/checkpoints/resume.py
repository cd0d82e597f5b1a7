"""Training that is killed and started again, and ends as if nothing had been."""

import os
import warnings
import weakref
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tftransfer.checkpoints.callback_states import CallbackState
from tftransfer.checkpoints.draws import find_draws
from tftransfer.checkpoints.files import CheckpointFolder
from tftransfer.checkpoints.fit_frame import find_fit
from tftransfer.checkpoints.own_order import OwnOrder
from tftransfer.checkpoints.plain import from_plain, to_plain
from tftransfer.checkpoints.same_run import (
    check_same,
    check_shared,
    describe_fit,
    describe_versions,
)
from tftransfer.checkpoints.saver import Saver, check_every
from tftransfer.checkpoints.skipping import skip_calls
from tftransfer.checkpoints.training_state import (
    read_random,
    read_state,
    write_random,
    write_state,
)
from tftransfer.checkpoints.usable import check_usable
from tftransfer.distribution.copies import Copies

_OPEN: weakref.WeakValueDictionary = weakref.WeakValueDictionary()  # by real path


class Resume(keras.callbacks.Callback):
    """Go on exactly where a killed training was: same batch, same order, same numbers.

    Give it to `fit` and run the same program again after a crash, a `kill -9` or a
    power cut: training goes on behind the last batch of the newest checkpoint, and
    ends with the weights and the history, equal to the bit on one machine's
    processors, that it would have had. A checkpoint holds weights, the optimizer's
    slots and step counts, learning rate, metrics so far, which layers learn, the state
    of the other callbacks, and the random generators of Python, NumPy and Keras. The
    order of arrays and of seeded `tf.data` pipelines is made a function of the epoch.

    Checkpoints are written by a thread of their own under a temporary name, with
    checksums; the newest two stay. A damaged one is told and passed over. Where nothing
    is left to do `fit` returns at once with the whole history, or goes on if `epochs`
    has grown. Remove the folder to begin anew.

    Exact are TensorFlow's usual settings on processors, as far as two undisturbed runs
    are equal (with a GPU, call `tf.config.experimental.enable_op_determinism()` first),
    and a program that is the same each time up to `fit`. What a dataset draws without a
    seed cannot come again; a warning says so. Callbacks with more than data in them
    need `state_dict()` and `load_state_dict(state)`.

    Args:
        directory: Folder for the checkpoints of this one run.
        checkpoint_every: Batches from one checkpoint to the next, or `"auto"`: as
            often as costs one percent of the time, at most every five seconds.
        verbose: Whether to print where training goes on.

    Attributes:
        seconds: Seconds that checkpoints have taken in this process.

    Raises:
        ValueError: If a value is out of range; in `fit`, if another living process
            uses the folder, its checkpoints are of another model, data or settings, or
            of a later version of this package, or all are damaged; with
            `steps_per_epoch`, `BackupAndRestore` or another backend than TensorFlow.
        TypeError: If an argument has the wrong type.
        OSError: In `fit`, if a checkpoint cannot be written; those before it stay.

    Example:

    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> x, y = np.eye(4).repeat(8, axis=0), np.arange(32) % 3
    >>> def train(epochs):
    ...     keras.utils.set_random_seed(0)
    ...     model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    ...     model.compile("adam", keras.losses.SparseCategoricalCrossentropy(True))
    ...     resume = tft.Resume(folder.name)
    ...     return model.fit(x, y, epochs=epochs, callbacks=[resume], verbose=0)
    >>> train(2).epoch
    [0, 1]
    >>> train(3).epoch
    Resume: goes on with epoch 3.
    [0, 1, 2]
    >>> folder.cleanup()
    """

    counts_calls = True  # of the training function, however many steps one makes

    def __init__(self, directory, checkpoint_every="auto", *, verbose=True):
        super().__init__()
        check_every(checkpoint_every)
        self.directory, self.checkpoint_every = directory, checkpoint_every
        self.verbose = verbose
        self.seconds = 0.0
        self._folder: Any = None
        self._saver: Any = None
        self._order: Any = None
        self._copies: Any = None
        self._saved: Any = None  # content and arrays to go on from
        self._position = [0, 0]  # epoch, and calls of the training function in it
        self._steps = 0  # in the epoch; a call may make several

    def set_model(self, model):
        """Take over the state of a `fit` that is about to begin."""
        super().set_model(model)
        fit = find_fit(self)
        if fit is None:  # evaluation or prediction
            return
        self._list, self._iterator, validation = fit
        others = [x for x in self._list.callbacks if x is not self]
        check_usable(model, self._iterator)
        self._copies = Copies(model)
        _check_alone(others)
        self._list.callbacks = [*others, self]  # it sees what the others have done
        self._others = [
            CallbackState(x)
            for x in others
            if not isinstance(x, keras.callbacks.ProgbarLogger)
        ]
        callbacks = [state.callback for state in self._others]
        self._fit = describe_fit(model, callbacks, self._iterator, self._copies)
        if isinstance(validation, tf.data.Dataset) and find_draws(validation):
            warnings.warn(
                "Validation data that shuffle come to a resumed run in another order, "
                "and losses differ in their last digits. Read them unshuffled.",
                stacklevel=2,
            )
        self._saved = self._take()
        try:
            self._check_saved()
        except ValueError:
            self.close()
            raise

    def on_train_begin(self, logs=None):
        """Set all as it was, unless this is the first time."""
        saved = self._saved
        firsts = saved[0]["firsts"] if saved else None
        drawn = saved[0]["seed"] if saved else int(np.random.randint(2**31))
        self._seed = self._copies.ask_all(drawn)[0]
        self._order = OwnOrder(self._iterator, self._copies, self._seed, firsts)
        self._saver = Saver(self._folder, self.checkpoint_every, self._copies)
        if self._order.doubt:
            warnings.warn(
                f"What a resumed run reads may differ: {self._order.doubt}.",
                stacklevel=2,
            )
        if not self.model.optimizer.built:
            self.model.optimizer.build(self.model.trainable_variables)
        if saved:
            write_state(self.model, self._others, self._copies, *saved)
            self._go_to(*saved[0]["position"])

    def on_epoch_begin(self, epoch, logs=None):
        """Tell the data the epoch; go to the batch where it was left."""
        self.model._initial_epoch = None
        self._position, self._steps = [epoch, 0], 0
        self._order.begin(epoch)
        saved, self._saved = self._saved, None
        if saved and saved[0]["position"][1]:
            content, arrays = saved
            write_random(from_plain(content["epoch_random"], arrays))
            self.model.stop_training = False  # not before the end of the epoch
            skip_calls(
                self.model,
                self._list,
                content["position"][1],
                content["logs"],
                lambda: self._restore(content, arrays),
            )
        self._epoch_random = read_random()

    def on_train_batch_end(self, batch, logs=None):
        """Save where it is time."""
        self._position[1] += 1
        self._saver.count(batch + 1 - self._steps)
        self._steps = batch + 1
        if self._saver.is_due():
            self._saver.save(lambda: self._content(logs))

    def on_epoch_end(self, epoch, logs=None):
        """Save where it is time, and after the last epoch."""
        self._position, self._steps = [epoch + 1, 0], 0
        is_last = epoch + 1 == self.params["epochs"] or self.model.stop_training
        if is_last or self._saver.is_due(at_end=True):
            self._saver.save(lambda: self._content(logs))

    def on_train_end(self, logs=None):
        """Wait for the last checkpoint and leave the folder."""
        self.model._initial_epoch = None
        self._saver.close()
        self.seconds += self._saver.seconds
        self._leave()
        self._iterator = self._list = self._order = self._saved = None

    def close(self):
        """Write what is begun and leave the folder; what was not saved is lost."""
        if self._saver is not None:
            self._saver.close()
        if self._folder is not None:
            self._folder.release()

    def _check_saved(self):
        if self._saved is None:
            return
        content, _ = self._saved
        check_same(content.get("fit"), self._fit, self.directory)
        if content["versions"] != describe_versions():
            warnings.warn(
                f"The checkpoint was made with {content['versions']}, this is "
                f"{describe_versions()}: the last digits may differ.",
                stacklevel=2,
            )
        for state, kept in zip(self._others, content["callbacks"], strict=True):
            state.prepare(kept)

    def _say(self, line):
        if self.verbose:
            print(f"Resume: {line}")

    def _open(self):
        """Take the folder, from an earlier `fit` of this process if need be."""
        path = os.path.realpath(os.path.expanduser(self.directory))
        if path in _OPEN:
            _OPEN[path].release()
        self._folder = CheckpointFolder(self.directory, self._copies.is_chief)
        _OPEN[path] = self._folder
        return self._folder

    def _read(self):
        """Return content and arrays of the newest checkpoint, the same everywhere."""
        folder = self._copies.try_all(self._open)
        saved = self._copies.try_all(folder.read)
        found = self._copies.ask_all(-1 if saved is None else saved[0]["number"])
        check_shared(found, self.directory)
        return saved

    def _take(self):
        """Return content and arrays to go on from, or `None`."""
        saved = self._read()
        if saved is not None and "told" in saved[0]:
            check_same(None, {}, self.directory)  # refuses what `fine_tune` wrote
        return saved

    def _leave(self):
        """End with the data and the folder as a whole run leaves them."""
        self._order.settle(self.params["epochs"])
        self._folder.release()

    def _extra(self, arrays):
        """Return what else belongs into a checkpoint, a dict of JSON values."""
        return {}

    def _content(self, logs):
        content, arrays = read_state(self.model, self._others, self._copies)
        content["position"], content["steps"] = list(self._position), self._steps
        content["epoch_random"] = to_plain(self._epoch_random, arrays)
        content["logs"] = {name: float(value) for name, value in (logs or {}).items()}
        content["seed"], content["fit"] = self._seed, self._fit
        content["firsts"] = self._order.firsts
        content["versions"] = describe_versions()
        return {**content, **self._extra(arrays)}, arrays

    def _restore(self, content, arrays):
        write_state(self.model, self._others, self._copies, content, arrays)
        self._position = list(content["position"])
        self._steps = content["steps"]

    def _go_to(self, epoch, calls):
        epochs = self.params["epochs"]
        is_over = epoch >= epochs or (self.model.stop_training and not calls)
        self.model._initial_epoch = epochs if is_over else epoch
        if is_over:
            self._tell_end(epoch)
        else:
            behind = f" behind step {calls}" if calls else ""
            self._say(f"goes on with epoch {epoch + 1}{behind}.")

    def _tell_end(self, epochs):
        self._say(f"all {epochs} epochs are done.")


def _check_alone(callbacks):
    for callback in callbacks:
        if isinstance(callback, (keras.callbacks.BackupAndRestore, Resume)):
            raise ValueError(
                "`callbacks` must hold one that resumes. Received: Resume beside "
                f"{type(callback).__name__}. Leave one of them out."
            )
