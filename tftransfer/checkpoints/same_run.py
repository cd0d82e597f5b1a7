"""Whether a checkpoint belongs to the run that is about to go on with it."""

import json

import keras
import numpy as np
import tensorflow as tf

from tftransfer.checkpoints.draws import describe_dataset
from tftransfer.features.hashing import hash_arrays
from tftransfer.freezing.recompiling import plain_optimizer

_SHOWN = 3  # differences of a list in a message


def describe_fit(model, callbacks, epoch_iterator, copies):
    """Describe a call of `fit` as far as its state depends on it.

    Args:
        model: Compiled `keras.Model`.
        callbacks: List of its callbacks.
        epoch_iterator: Of Keras.
        copies: `Copies` of the model.

    Returns:
        Dict from what is compared to a JSON value.
    """
    return {
        **describe_model(model),
        "learning": [_describe_variable(x) for x in model.trainable_variables],
        "steps_per_execution": model.steps_per_execution,
        "callbacks": [type(callback).__name__ for callback in callbacks],
        "data": describe_data(epoch_iterator.data_adapter),
        "replicas": copies.number,
    }


def describe_model(model):
    """Describe a compiled model as far as its training depends on it, as JSON.

    Args:
        model: Compiled `keras.Model`.
    """
    return {
        "layers": [_describe_layer(layer) for layer in model._flatten_layers()],
        "weights": [_describe_variable(variable) for variable in model.variables],
        "optimizer": _describe_optimizer(model),
        "loss": _describe_loss(model.loss),
    }


def describe_data(adapter):
    """Describe training data without reading them.

    Args:
        adapter: Data adapter of Keras.
    """
    dataset = getattr(adapter, "_dataset", None)
    told = {"kind": type(adapter).__name__, "batches": adapter.num_batches}
    if isinstance(dataset, tf.data.Dataset):
        told.update(describe_dataset(dataset))
    elif hasattr(adapter, "_inputs"):
        told["batch_size"] = adapter._batch_size
        told["content"] = _hash(adapter._inputs)
    return told


def check_same(saved, now, directory):
    """Raise `ValueError` unless two descriptions are equal; name what differs.

    Args:
        saved: Description in a checkpoint.
        now: Description of this run.
        directory: Folder of the checkpoint.
    """
    now = json.loads(json.dumps(now, default=str))
    if saved is None:
        raise ValueError(
            "`checkpoint` must be a folder of this very run. Received: "
            f"{str(directory)!r}, of another kind of run: Resume and fine_tune do not "
            "share folders. Take another one."
        )
    differing = [
        f"{name} ({_difference(saved.get(name), value)})"
        for name, value in now.items()
        if saved.get(name) != value
    ]
    if differing:
        raise ValueError(
            "`checkpoint` must be a folder of this very run: of equal model, data and "
            f"settings. Received: {str(directory)!r}, of a run with other "
            f"{', other '.join(differing)}. Restore what was changed to go on, or "
            "take another folder to begin anew."
        )


def check_shared(found, directory):
    """Raise `ValueError` unless all workers found the same newest checkpoint.

    Args:
        found: List of its numbers, -1 where there is none.
        directory: Folder of the checkpoints.
    """
    if len(set(found)) > 1:
        raise ValueError(
            "`checkpoint` must be a folder that all workers share. Received: "
            f"{str(directory)!r}, where their newest checkpoints have the numbers "
            f"{found} (-1: none). Take one on a disk that all of them see."
        )


def describe_versions():
    """Versions on which equal numbers rest."""
    return {"keras": keras.__version__, "tensorflow": tf.__version__}


def _difference(saved, now):
    if isinstance(saved, list) and isinstance(now, list):
        gone = [x for x in saved if x not in now][:_SHOWN]
        new = [x for x in now if x not in saved][:_SHOWN]
        parts = [f"then {len(saved)}, now {len(now)}"]
        parts += [f"gone {gone}"] * bool(gone) + [f"new {new}"] * bool(new)
        return "; ".join(parts)
    if isinstance(saved, dict) and isinstance(now, dict):
        names = [name for name in now if saved.get(name) != now[name]]
        return "; ".join(f"{x} {_difference(saved.get(x), now[x])}" for x in names)
    return f"then {saved!r}, now {now!r}"


def _describe_layer(layer):
    """Return class and settings, but for names, which count on in a process."""
    try:
        config = layer.get_config()
    except NotImplementedError:  # of a class without a configuration
        config = {}
    plain = {
        name: value
        for name, value in sorted(config.items())
        if isinstance(value, (bool, int, float, list, tuple))
        and name not in ("trainable", "layers", "input_layers", "output_layers")
    }
    settings = ", ".join(f"{name}={value}" for name, value in plain.items())
    return f"{type(layer).__name__}({settings})"


def _describe_variable(variable):
    return f"{variable.path.rsplit('/', 1)[-1]} {tuple(variable.shape)}"


def _describe_optimizer(model):
    """Return class and settings; a rate that is a number changes while training."""
    optimizer = model.optimizer
    if optimizer is None:
        return None
    config = _nameless(dict(plain_optimizer(optimizer).get_config()))
    if isinstance(config.get("learning_rate"), (int, float)):
        del config["learning_rate"]
    settings = {name: _text(value) for name, value in config.items()}
    return {"class": type(optimizer).__name__, **settings}


def _describe_loss(loss):
    if isinstance(loss, keras.losses.Loss):
        return {"class": type(loss).__name__, **_nameless(loss.get_config())}
    return _text(loss)


def _hash(arrays):
    try:
        return hash_arrays(keras.tree.map_structure(np.asarray, arrays))
    except (TypeError, ValueError):  # of a kind that is only known to Keras
        return None


def _nameless(value):
    """Leave out names, which count on in a process."""
    if isinstance(value, dict):
        return {key: _nameless(part) for key, part in value.items() if key != "name"}
    return value


def _text(value):
    if isinstance(value, (dict, list, tuple)):
        return json.dumps(value, default=lambda x: type(x).__name__, sort_keys=True)
    if isinstance(value, (str, int, float, bool, type(None))):
        return value
    return getattr(value, "__name__", type(value).__name__)
