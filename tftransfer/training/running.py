"""Run stages one after the other, each with one call of `fit`."""

import contextlib
import functools
import math
import warnings

import keras
import numpy as np

from tftransfer.acceleration.recutting import fit_in_pieces
from tftransfer.freezing.depth import change_flags
from tftransfer.freezing.flags import restore_flags
from tftransfer.freezing.recompiling import own_rate, plain_optimizer, recompile
from tftransfer.training.batches import read_data
from tftransfer.training.solving import solve_stage, trains_linear_head_only
from tftransfer.training.stages import CosinePerEpoch, stage_rate


def run_stages(
    model,
    stages,
    data,
    validation,
    *,
    flags,
    callbacks,
    fast_path=None,
    head_solver=None,
    seed=None,
    checkpoints=None,
    **arguments,
):
    """Train a model through `stages`.

    Args:
        model: Compiled `keras.Model`.
        stages: List of `Stage`.
        data: `TrainingData`.
        validation: `TrainingData` or `None`.
        flags: What `read_flags` gave, for a stage of depth `None` to go back to; `None`
            keeps the depth of the stage before.
        callbacks: List of Keras callbacks.
        fast_path: `FastPath` of the model, or `None`.
        head_solver: What solves the stages in which only a linear head learns, or
            `None`.
        seed: Of the order of stored rows, `None` for any.
        checkpoints: `RunCheckpoints`, or `None`.
        arguments: Further arguments of `fit`: `class_weight` and `verbose`.

    Returns:
        `keras.callbacks.History` of all stages.

    Raises:
        ValueError: If nothing would learn in a stage.
    """
    rate = own_rate(model.optimizer)
    history, best = _start_history(model), _Best()
    own = [data if x.data is None else read_data("data", x.data) for x in stages]
    if checkpoints is not None:
        own = [checkpoints.number(each) for each in own]
        checkpoints.watch(model, history, best, fast_path)
    given = (validation, fast_path, arguments, checkpoints)
    fits = {id(x): _Fit(model, x, *given) for x in own}
    orders = np.random.default_rng(seed)
    try:
        for number, (stage, data) in enumerate(zip(stages, own, strict=True)):
            order = int(orders.integers(2**31))
            if checkpoints is not None and checkpoints.is_past(number):
                continue
            _set_depth(model, stage, flags)
            stage_start = stage_rate(stage, model, rate, data.num_batches)
            recompile(model, learning_rate=stage_start)
            first = len(history.epoch)
            watchers = [*callbacks, *_rate_callbacks(stage, data, stage_start, first)]
            averages = _averages_weights(model, callbacks)
            best.stopper = None if validation is None or averages else _stopper(stage)
            watchers += [best.stopper] if best.stopper else []
            part = fits[id(data)](
                solves=head_solver is not None and trains_linear_head_only(model),
                initial_epoch=first,
                epochs=first + stage.epochs,
                callbacks=watchers,
                seed=order,
            )
            best.take()
            _join(history, part, first)
            if _was_stopped(model, watchers):
                break
    finally:
        best.restore(model)
        recompile(model, learning_rate=rate)
    return history


class _Fit:
    """One call of `fit`: on stored rows where that is possible, else on the data."""

    def __init__(self, model, data, validation, fast_path, arguments, checkpoints):
        self._model, self._data, self._validation = model, data, validation
        self._fast_path, self._arguments = fast_path, arguments
        self._checkpoints = checkpoints
        self._given = dict(data.fit_arguments)
        if validation is not None:
            self._given["validation_data"] = validation.source
        if fast_path is not None:
            self._parts = [
                data.part(shuffles=True),
                validation and validation.part(shuffles=False),
            ]

    def __call__(self, *, seed, solves, **epochs):
        if solves:
            return solve_stage(
                self._model,
                self._fast_path,
                *self._parts,
                epoch=epochs["initial_epoch"],
                callbacks=epochs["callbacks"],
                **self._arguments,
            )
        run = functools.partial(self._run, seed)
        return fit_in_pieces(self._model, run, **epochs, resume=self._checkpoints)

    def _run(self, seed, **epochs):
        if self._checkpoints is not None:
            epochs["callbacks"] = [*epochs["callbacks"], self._checkpoints]
        with self._stored(seed, **epochs) as stored, self._quiet_about_length():
            given = {**self._given, **self._arguments, **epochs}
            if stored is not None:
                for name in ("x", "y", "sample_weight", "batch_size", "class_weight"):
                    given.pop(name, None)
                given.update(stored)
                return keras.Model.fit(self._model, **given)
            return type(self._model).fit(self._model, **given)

    def _stored(self, seed, *, initial_epoch, epochs, callbacks):
        if self._fast_path is None:
            return contextlib.nullcontext()
        return self._fast_path.training(
            *self._parts,
            epochs=epochs - initial_epoch,
            callbacks=callbacks,
            class_weight=self._arguments["class_weight"],
            seed=seed,
        )

    def _quiet_about_length(self):
        return _quiet_about_length(self._data, self._validation)


@contextlib.contextmanager
def _quiet_about_length(*parts):
    """Silence what Keras warns of at the end of data that do not know their length."""
    with warnings.catch_warnings():
        if any(part and part.num_batches is None for part in parts):
            warnings.filterwarnings("ignore", "Your input ran out of data")
        yield


def _set_depth(model, stage, flags):
    if stage.trainable_depth is not None:
        change_flags(model, stage.trainable_depth, stage.batch_norm)
    elif flags is not None:
        restore_flags(flags)
    if not model.trainable_weights:
        raise ValueError(
            "`model` must have weights that learn. Received: "
            f"trainable_depth={stage.trainable_depth!r} for a model without a head. "
            "Add a head, or open more with trainable_depth."
        )


def _rate_callbacks(stage, data, rate, first):
    if stage.schedule == "cosine" and not data.num_batches:
        return [CosinePerEpoch(rate, first, stage.epochs)]
    return []


def _stopper(stage):
    return keras.callbacks.EarlyStopping(
        monitor="val_loss",
        mode="min",
        patience=stage.patience or stage.epochs,
        restore_best_weights=True,
    )


def _averages_weights(model, callbacks):
    """Whether a stage ends with averaged weights, which no best epoch may replace."""
    averages = getattr(plain_optimizer(model.optimizer), "use_ema", False)
    return averages or any(getattr(x, "sets_weights", False) for x in callbacks)


class _Best:
    """The weights of the epoch with the lowest validation loss so far."""

    def __init__(self):
        self.loss: float = math.inf
        self.weights: list | None = None
        self.stopper: keras.callbacks.EarlyStopping | None = None

    def take(self):
        stopper = self.stopper
        if stopper is None or stopper.best is None:
            return
        if stopper.best < self.loss:
            self.loss, self.weights = stopper.best, stopper.best_weights

    def restore(self, model):
        self.take()  # of a stage that was interrupted
        if self.weights is not None:
            model.set_weights(self.weights)


def _start_history(model):
    history = keras.callbacks.History()
    history.set_model(model)
    history.on_train_begin()
    history.stages = []
    return history


def _join(history, part, first):
    history.stages.append(first)
    history.epoch += part.epoch
    history.set_params(part.params)
    for name, values in part.history.items():
        history.history.setdefault(name, []).extend(values)
    history.model.history = history


def _was_stopped(model, callbacks):
    """Whether a callback ended more than its stage."""
    ended_stage = [
        callback
        for callback in callbacks
        if isinstance(callback, keras.callbacks.EarlyStopping)
        and callback.stopped_epoch
    ]
    return model.stop_training and not ended_stage
