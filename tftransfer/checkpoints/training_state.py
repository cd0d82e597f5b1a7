"""The whole state of a training: variables, flags, callbacks, random generators."""

import random

import numpy as np
from keras.src.random.seed_generator import global_seed_generator  # no public name

from tftransfer.checkpoints.plain import from_plain, to_plain
from tftransfer.freezing.flags import read_flags, restore_flags
from tftransfer.freezing.while_training import trace_with_new_flags


def read_state(model, callbacks, copies):
    """Copy all that training changes.

    Args:
        model: Compiled `keras.Model` inside `fit`.
        callbacks: List of `CallbackState` of its callbacks.
        copies: `Copies` of the model.

    Returns:
        JSON structure, and a list of arrays.
    """
    groups = _variables(model)
    arrays = copies.read([x for variables in groups.values() for x in variables])
    content = {
        "counts": {name: len(variables) for name, variables in groups.items()},
        "flags": read_flag_values(model),
        "stop_training": bool(model.stop_training),
        "callbacks": [callback.read(arrays) for callback in callbacks],
        "random": to_plain(read_random(), arrays),
    }
    return content, arrays


def write_state(model, callbacks, copies, content, arrays):
    """Set all that `read_state` copied.

    Args:
        model: Compiled `keras.Model` inside `fit`, its optimizer built.
        callbacks: List of `CallbackState`, of the same kinds in the same order.
        copies: `Copies` of the model.
        content: JSON structure.
        arrays: List of arrays.
    """
    _write_flags(model, content["flags"])
    write_variables(model, copies, content, arrays)
    model.stop_training = content["stop_training"]
    for callback, state in zip(callbacks, content["callbacks"], strict=True):
        callback.write(state, arrays)
    write_random(from_plain(content["random"], arrays))


def write_variables(model, copies, content, arrays, only=None):
    """Assign what `read_state` copied of variables.

    Args:
        model: Compiled `keras.Model`.
        copies: `Copies` of it.
        content: JSON structure.
        arrays: List of arrays.
        only: Name of a group, `"model"`, `"optimizer"` or `"metrics"`; `None` for all
            that exist yet: those of metrics are made in the first step.
    """
    values, pairs = iter(arrays), list[tuple]()
    for name, variables in _variables(model).items():
        own = [next(values) for _ in range(content["counts"][name])]
        is_early = name == "metrics" and len(own) != len(variables)
        if is_early or only not in (None, name):
            continue
        fits = len(own) == len(variables) and all(
            copies.shape_of(x) == value.shape
            for x, value in zip(variables, own, strict=True)
        )
        if not fits:  # before anything is assigned
            raise ValueError(
                f"`checkpoint` must be of this very model. Received: one with "
                f"{len(own)} variables of its {name}, where there are "
                f"{len(variables)}, or of other shapes. Restore what was changed to "
                "go on, or take another folder to begin anew."
            )
        pairs += zip(variables, own, strict=True)
    copies.write(pairs)


def read_random():
    """Copy the state of the random generators of this process."""
    return {
        "python": random.getstate(),
        "numpy": np.random.get_state(),
        "keras": np.array(global_seed_generator().state),
    }


def write_random(state):
    """Set the random generators of this process."""
    random.setstate(state["python"])
    np.random.set_state(state["numpy"])
    global_seed_generator().state.assign(state["keras"])


def read_flag_values(model):
    """Return which layers and weights learn, in the model's order."""
    return [[bool(value) for _, value in flags] for flags in read_flags(model)]


def write_flag_values(model, values):
    """Set which layers and weights learn.

    Returns:
        Whether anything changed.
    """
    if read_flag_values(model) == values:
        return False
    owners = [[owner for owner, _ in flags] for flags in read_flags(model)]
    pairs = [
        list(zip(own, given, strict=True))
        for own, given in zip(owners, values, strict=True)
    ]
    restore_flags(pairs)
    return True


def _write_flags(model, values):
    if write_flag_values(model, values):
        trace_with_new_flags(model)


def _variables(model):
    optimizer = model.optimizer
    return {
        "model": list(model.variables),
        "optimizer": [] if optimizer is None else list(optimizer.variables),
        "metrics": list(model.metrics_variables),
    }
