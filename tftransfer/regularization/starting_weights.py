"""The weights before training, and passes with other weights than a model's own."""

import collections
import contextlib

import keras
import numpy as np
from keras import ops

_FACTORS = ("adapter_a", "adapter_b")  # as `add_lora` names them


class StartingWeights(keras.layers.Layer):
    """A copy of weights as they are now, saved with the model that holds it.

    Args:
        variables: List of Keras variables.
    """

    def __init__(self, variables, **kwargs):
        super().__init__(**kwargs)
        for number, variable in enumerate(variables):
            value = np.array(ops.convert_to_numpy(variable))  # shares no memory with it
            self.add_weight(
                name=f"start_{number}",
                shape=variable.shape,
                dtype=variable.dtype,
                initializer=lambda shape, dtype=None, value=value: (
                    ops.convert_to_tensor(value, dtype)
                ),
                trainable=False,
            )
        self.built = True


def pretrained_weights(model):
    """List the weights of a backbone that were there before any adapters.

    Args:
        model: `keras.Model`.
    """
    return [
        variable
        for variable in model.weights
        if "float" in keras.backend.standardize_dtype(variable.dtype)
        and variable.name not in _FACTORS
    ]


def pair_with_start(model, start):
    """Pair the weights of a backbone with what they were before training.

    Of adapters, which may have been added since, the second factor pairs with zero:
    with that they change nothing.

    Args:
        model: `keras.Model`.
        start: `StartingWeights` of its `pretrained_weights`.

    Returns:
        List of `(variable, tensor or variable)`.
    """
    factors = [x for x in model.weights if x.name == _FACTORS[-1]]
    return [
        *zip(pretrained_weights(model), start.weights, strict=True),
        *((factor, ops.zeros(factor.shape, factor.dtype)) for factor in factors),
    ]


@contextlib.contextmanager
def other_weights(model, values, *, keep_updates=True):
    """Let a model run with other values in some of its variables, for a while.

    The variables themselves stay. A gradient through what is computed inside goes on
    to what the values were made of.

    Args:
        model: `keras.Model`.
        values: List of `(variable, tensor)`.
        keep_updates: Whether the model's other variables, such as the statistics of
            BatchNormalization, keep what the run inside assigned to them.
    """
    if not values:
        yield
        return
    given = {id(variable): value for variable, value in values}
    # All of them: inside a scope of JAX's trainer one left out would be read past it.
    mapping = [
        (variable, given.get(id(variable), variable)) for variable in model.variables
    ]
    with keras.StatelessScope(mapping) as scope:
        before = [scope.get_current_value(variable) for variable in model.variables]
        yield
    if not keep_updates:
        return
    for variable, old in zip(model.variables, before, strict=True):
        new = scope.get_current_value(variable)
        if new is not old:
            variable.assign(new)


def check_replaceable(model, regularization):
    """Raise if weights are to be replaced in a pass that runs them as a SavedModel.

    Args:
        model: Functional `keras.Model`.
        regularization: List of `Regularization`.

    Raises:
        ValueError: If so.
    """
    names = [type(part).__name__ for part in regularization if part.replaces]
    modules = [x.name for x in model._flatten_layers() if hasattr(x, "variable_blocks")]
    if names and modules:
        raise ValueError(
            "`regularization` must not replace weights of a SavedModel, which reads "
            f"its own. Received: {names[0]} for a model with the module "
            f"{modules[0]!r}. Take tft.L2SP, or another backbone."
        )


def number_trackers(regularization):
    """Give the metrics of several regularizations of one kind names of their own.

    Args:
        regularization: List of `Regularization`.
    """
    counts: collections.Counter = collections.Counter()
    for part in regularization:
        name = type(part).__name__.lower()
        counts[name] += 1
        if part.tracker is not None and counts[name] > 1:
            part.tracker.name = f"{name}_{counts[name]}"
