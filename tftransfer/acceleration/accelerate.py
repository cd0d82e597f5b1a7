"""Make anybody's model run its frozen part once."""

import inspect

import keras
import numpy as np

from tftransfer.acceleration.budget import CacheSettings
from tftransfer.acceleration.fast_path import FastPath, read_part
from tftransfer.acceleration.frozen_cuts import find_frozen_cuts

_METHODS = ("fit", "evaluate", "predict")
_REPLACED = (
    *("y", "sample_weight", "class_weight", "batch_size", "shuffle"),
    *("validation_split", "validation_batch_size"),
)
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
    for name in _METHODS:
        model.__dict__.pop(name, None)
    if not enabled:
        return model
    where = "auto" if cache is True else cache
    settings = CacheSettings(where, cache_bytes, augmented_views, engine)
    if cache is False:
        raise ValueError(
            "`cache` must be True or a folder. Received: cache=False. To undo it call "
            "tft.accelerate(model, False)."
        )
    path = FastPath(model, settings, print if verbose else None)
    found = find_frozen_cuts(model, allow_random=augmented_views > 1)
    if not found.cuts:
        path.say(f"Fast path: nothing to store as the model is now: {found.obstacle}.")
    model.__dict__.update(_Methods(path).by_name())
    return model


class _Methods:
    """The three methods, over those of the model's class."""

    def __init__(self, path):
        self._fast_path = path
        self._own = {name: getattr(path.model, name) for name in _METHODS}
        self._running = False

    def by_name(self):
        return {name: self._wrap(name) for name in _METHODS}

    def _wrap(self, name):
        own, signature = self._own[name], inspect.signature(self._own[name])

        def method(*args, **kwargs):
            # `fit` calls `evaluate` itself, on rows that are stored already.
            if self._running:
                return own(*args, **kwargs)
            given = signature.bind(*args, **kwargs)
            given.apply_defaults()
            if hasattr(given.arguments["x"], "holds_stored_rows"):  # by `fine_tune`
                return own(*args, **kwargs)
            self._running = True
            try:
                return getattr(self, f"_{name}")(given)
            finally:
                self._running = False

        return method

    def _path(self, given):
        path = self._fast_path
        if given.arguments.get("verbose") == 0:
            return FastPath(path.model, path.settings, None)
        return path

    def _fit(self, given):
        own, values = self._own["fit"], given.arguments
        refused = _reason_not_to(values)
        if refused:
            self._path(given).say(f"Fast path not taken: {refused}.")
            return own(*given.args, **given.kwargs)
        train, validation = _split_fit(values)
        with self._path(given).training(
            train,
            validation,
            epochs=values["epochs"] - values["initial_epoch"],
            callbacks=keras.tree.flatten(values["callbacks"] or []),
            class_weight=values["class_weight"],
            seed=int(np.random.randint(2**31)),
        ) as stored:
            if stored is None:
                return own(*given.args, **given.kwargs)
            for name in _REPLACED:
                values.pop(name, None)
            return own(**{**values, **stored})

    def _evaluate(self, given):
        own, values = self._own["evaluate"], given.arguments
        if _reason_not_to(values):
            return own(*given.args, **given.kwargs)
        data = _join(values["x"], values["y"], values["sample_weight"])
        part = read_part(data, batch_size=values["batch_size"])
        with self._path(given).reading(part) as stored:
            if stored is None:
                return own(*given.args, **given.kwargs)
            for name in ("y", "sample_weight", "batch_size", "kwargs"):
                values.pop(name, None)
            return own(**{**values, "x": stored})

    def _predict(self, given):
        own, values = self._own["predict"], given.arguments
        if _reason_not_to(values):
            return own(*given.args, **given.kwargs)
        part = read_part(values["x"], batch_size=values["batch_size"])
        with self._path(given).reading(part) as stored:
            if stored is None:
                return own(*given.args, **given.kwargs)
            return own(**{**values, "x": stored, "batch_size": None})


def _reason_not_to(values):
    if isinstance(values.get("callbacks"), keras.callbacks.CallbackList):
        return "callbacks come as a CallbackList"
    if values.get("class_weight") and values["sample_weight"] is not None:
        return "both class_weight and sample_weight are given"
    for name in _UNSUPPORTED:
        if values.get(name) is not None:
            return f"{name} is given, and rows are stored for whole epochs"
    return None


def _split_fit(values):
    x, y, weight = values["x"], values["y"], values["sample_weight"]
    size, validation = values["batch_size"], values["validation_data"]
    if values["validation_split"] and validation is None:
        arrays = keras.tree.map_structure(np.asarray, _join(x, y, weight))
        arrays = arrays if isinstance(arrays, tuple) else (arrays,)
        num_rows = len(keras.tree.flatten(arrays)[0])
        end = int(num_rows * (1 - values["validation_split"]))
        validation = keras.tree.map_structure(lambda a: a[end:], arrays)
        data = keras.tree.map_structure(lambda a: a[:end], arrays)
    else:
        data = _join(x, y, weight)
    train = read_part(data, batch_size=size, shuffles=bool(values["shuffle"]))
    if validation is None:
        return train, None
    own_size = values["validation_batch_size"] or size
    return train, read_part(_without_none(validation), batch_size=own_size)


def _join(x, y, weight):
    return x if y is None else _without_none((x, y, weight))


def _without_none(data):
    if isinstance(data, list):
        data = tuple(data)
    if not isinstance(data, tuple):
        return data
    return tuple(part for part in data if part is not None)
