"""Make anybody's model run its frozen part once."""

import contextlib
import functools
import inspect
import math

import keras
import numpy as np

from tftransfer.acceleration.budget import CacheSettings
from tftransfer.acceleration.fast_path import FastPath
from tftransfer.acceleration.frozen_cuts import find_frozen_cuts
from tftransfer.acceleration.parts import read_part
from tftransfer.acceleration.preprocessing import (
    has_own_fit,
    preprocess,
    preprocesses,
)
from tftransfer.acceleration.recutting import fit_in_pieces

_METHODS = ("fit", "evaluate", "predict")
_REPLACED = (
    *("y", "sample_weight", "class_weight", "batch_size", "shuffle"),
    *("validation_split", "validation_batch_size"),
)
_FEW_ROWS = 8
_UNSUPPORTED = ("steps_per_epoch", "validation_steps", "steps")


def accelerate(
    model,
    enabled=True,
    *,
    cache=True,
    cache_bytes=None,
    augmented_views=1,
    engine="auto",
    verbose=True,
):
    """Make `fit`, `evaluate` and `predict` run the frozen part of a model once.

    From then on the part below the first layer that learns runs once over the data,
    in the fastest engine at hand, and its results are stored; what is above trains on
    them. Nothing else changes: it is the same model, compiled as it was, callbacks see
    the whole of it, and the weights come out as without (to the rounding of the
    engine; with `engine="tensorflow"` closer still). The part is found anew in each
    call, so layers may be frozen or opened in between.

    Where this cannot help it says why in one line, and the model runs as always: when
    nothing is frozen, when dropout, augmentation or a training BatchNormalization lies
    below the first layer that learns, or when the data may differ from epoch to epoch.

    Args:
        model: Functional or Sequential `keras.Model` of anybody, models nested in it
            included, or an `AlignedModel`.
        enabled: `False` gives the model its own methods back.
        cache: `True` or a folder for the store.
        cache_bytes: The most bytes of activations to store for one call; `None` is
            half of what the store may still hold.
        augmented_views: How many passes over randomly changed examples to store, which
            then take turns from epoch to epoch; with 1 such data are not stored.
        engine: `"auto"`, `"tensorflow"`, `"openvino"`, `"onnx"` or `"jax"`.
        verbose: Whether to say what is done; a call with `verbose=0` is silent anyway.

    Returns:
        `model`.

    Raises:
        TypeError: If `model` is no `keras.Model`, or an argument has the wrong type.
        ValueError: If an argument is not acceptable.

    Example:

    >>> base = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4)])
    >>> base.trainable = False
    >>> model = keras.Sequential([keras.Input((8,)), base, keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> _ = tft.accelerate(model)
    >>> history = model.fit(np.ones((8, 8)), np.ones(8), epochs=2, verbose=0)
    >>> sorted(history.history), len(history.epoch)
    (['loss'], 2)
    >>> _ = tft.accelerate(model, False)
    """
    if not isinstance(model, keras.Model):
        raise TypeError(
            "`model` must be a keras.Model. Received: model of type "
            f"{type(model).__name__}. Pass a functional or Sequential model."
        )
    where = "auto" if cache is True else cache
    settings = CacheSettings(where, cache_bytes, augmented_views, engine)
    if cache is False:
        raise ValueError(
            "`cache` must be True or a folder. Received: cache=False. To undo it call "
            "tft.accelerate(model, False)."
        )
    for name in _METHODS:
        model.__dict__.pop(name, None)
    if not enabled:
        return model
    path = FastPath(model, settings, print if verbose else None)
    if has_own_fit(model):
        path.say("Fast path: not possible, the class of the model has its own fit.")
        return model
    found = find_frozen_cuts(model, allow_random=augmented_views > 1)
    if not found.cuts:
        path.say(f"Fast path: nothing to store as the model is now: {found.obstacle}.")
    model.__dict__.update(_Methods(path).by_name())
    return model


class _Methods:
    """The three methods, over those of the model's class."""

    def __init__(self, path):
        self._fast_path, self._model = path, path.model
        self._class_methods = {name: getattr(path.model, name) for name in _METHODS}
        self._running = False

    def by_name(self):
        return {name: self._wrap(name) for name in _METHODS}

    def _wrap(self, name):
        ordinary = self._class_methods[name]
        keras_method = functools.partial(getattr(keras.Model, name), self._model)
        signature = inspect.signature(keras_method)

        def method(*args, **kwargs):
            # `fit` calls `evaluate` itself, on rows that are stored already.
            if self._running:
                return ordinary(*args, **kwargs)
            given = signature.bind(*args, **kwargs)
            given.apply_defaults()
            values = dict(given.arguments)
            values.pop("kwargs", None)
            if hasattr(values["x"], "holds_stored_rows"):  # by `fine_tune`
                with self._running_here():
                    return ordinary(*args, **kwargs)
            path = self._path(values)
            with self._running_here():
                reason = _reason_not_to(values)
                if reason is None:
                    run = getattr(self, f"_{name}")
                    return run(path, values, keras_method, (args, kwargs))
                path.decline(reason)
                return ordinary(*args, **kwargs)

        return method

    @contextlib.contextmanager
    def _running_here(self):
        self._running = True
        try:
            yield
        finally:
            self._running = False

    def _path(self, values):
        path = self._fast_path
        is_silent = values.get("verbose") == 0
        return FastPath(path.model, path.settings, None) if is_silent else path

    def _fit(self, path, values, keras_fit, given):
        def run(**changes):
            return self._fit_piece(path, {**values, **changes}, keras_fit)

        return fit_in_pieces(
            self._model,
            run,
            initial_epoch=values["initial_epoch"],
            epochs=values["epochs"],
            callbacks=keras.tree.flatten(values["callbacks"] or []),
        )

    def _fit_piece(self, path, values, keras_fit):
        try:
            train, validation, own = self._split(values)
        except TypeError as error:
            path.decline(f"{error}".rstrip("."))
            return self._class_methods["fit"](**values)
        with path.training(
            train,
            validation,
            epochs=values["epochs"] - values["initial_epoch"],
            callbacks=values["callbacks"],
            class_weight=values["class_weight"],
            seed=int(np.random.randint(2**31)),
        ) as stored:
            if stored is None:
                return self._class_methods["fit"](**values)
            kept = {name: x for name, x in values.items() if name not in _REPLACED}
            if own is not None:
                kept["validation_data"] = own
                kept["validation_batch_size"] = values["validation_batch_size"]
            return keras_fit(**{**kept, **stored})

    def _evaluate(self, path, values, keras_evaluate, given):
        data = _join(values["x"], values["y"], values["sample_weight"])
        part = self._try_part(path, data, values["batch_size"])
        with self._reading(path, part) as stored:
            if stored is None:
                return self._run_class("evaluate", given)
            kept = {name: x for name, x in values.items() if name not in _REPLACED}
            return keras_evaluate(**{**kept, "x": stored})

    def _predict(self, path, values, keras_predict, given):
        data = _join(values["x"], None, None)
        part = self._try_part(path, data, values["batch_size"])
        with self._reading(path, part) as stored:
            if stored is None:
                return self._run_class("predict", given)
            return keras_predict(**{**values, "x": stored, "batch_size": None})

    def _try_part(self, path, data, batch_size):
        try:
            return self._part(data, batch_size)
        except TypeError as error:
            path.decline(f"{error}".rstrip("."))
            return None

    def _reading(self, path, part):
        num_rows = None if part is None else part.examples[0].num_rows
        if part is None or (num_rows is not None and num_rows <= _FEW_ROWS):
            return contextlib.nullcontext()
        return path.reading(part)

    def _run_class(self, name, given):
        args, kwargs = given
        return self._class_methods[name](*args, **kwargs)

    def _part(self, data, batch_size, shuffles=False):
        if preprocesses(self._model):
            data = preprocess(self._model, data, batch_size)
        return read_part(data, batch_size=batch_size, shuffles=shuffles)

    def _split(self, values):
        data = _join(values["x"], values["y"], values["sample_weight"])
        size, validation = values["batch_size"], values["validation_data"]
        if values["validation_split"] and validation is None:
            data, validation = _split_rows(data, values["validation_split"])
        train = self._part(data, size, shuffles=bool(values["shuffle"]))
        if validation is None:
            return train, None, None
        own = _without_none(validation)
        if preprocesses(self._model):
            own = preprocess(self._model, own, size)
        own_size = values["validation_batch_size"] or size
        return train, read_part(own, batch_size=own_size), own


def _reason_not_to(values):
    if isinstance(values.get("callbacks"), keras.callbacks.CallbackList):
        return "callbacks come as a CallbackList"
    if values.get("class_weight") and values.get("sample_weight") is not None:
        return "both class_weight and sample_weight are given"
    for name in _UNSUPPORTED:
        if values.get(name) is not None:
            return f"{name} is given, and rows are stored for whole epochs"
    return None


def _split_rows(data, share):
    """Split off the last rows of arrays, as `fit` does."""
    arrays = keras.tree.map_structure(
        np.asarray, data if isinstance(data, tuple) else (data,)
    )
    num_rows = len(keras.tree.flatten(arrays)[0])
    end = math.floor(num_rows * (1.0 - share))
    head = keras.tree.map_structure(lambda array: array[:end], arrays)
    return head, keras.tree.map_structure(lambda array: array[end:], arrays)


def _join(x, y, weight):
    if y is None:
        return (x,) if isinstance(x, (tuple, list)) else x
    return _without_none((x, y, weight))


def _without_none(data):
    if isinstance(data, list):
        data = tuple(data)
    if not isinstance(data, tuple):
        return data
    return tuple(part for part in data if part is not None)
