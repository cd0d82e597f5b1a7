"""Freeze layers in the middle of a call of `fit`, between two epochs."""

import keras

from tftransfer.freezing.flags import set_trainable
from tftransfer.freezing.recompiling import plain_optimizer

_NOT_SLOTS = ("_variables", "_trainable_variables")


def freeze_while_training(model, blocks):
    """Freeze blocks of a model that is being trained, from the next step on.

    The model is not compiled again: its optimizer keeps what it gathered for the rest.
    The training step is traced anew, without the gradients of a contiguous frozen
    bottom. To be called from a callback between epochs.

    Args:
        model: Compiled `keras.Model` inside `fit`.
        blocks: List of `Block` of `model_blocks`.
    """
    for block in blocks:
        if block.variables is not None:  # of a part of a SavedModel
            for variable in block.variables:
                variable.trainable = False
        else:
            for layer in block.layers:
                set_trainable(layer, False)
    trace_with_new_flags(model)


def trace_with_new_flags(model):
    """Trace the training step anew after flags were set in the middle of `fit`.

    Args:
        model: Compiled `keras.Model` inside `fit`.
    """
    if hasattr(model, "_compiled_trainable_state"):  # or Keras would warn
        state = {layer: layer.trainable for layer in model._flatten_layers()}
        model._compiled_trainable_state = state
    narrow_optimizer(model.optimizer, model.trainable_variables)
    if hasattr(model.train_function, "trace_again"):  # that of the fast path
        model.train_function.trace_again()
    else:
        model.make_train_function(force=True)


def narrow_optimizer(optimizer, variables):
    """Let an optimizer forget what is no longer trained, where it could not skip it.

    Under TensorFlow an optimizer takes the gradients of a part of its variables. Under
    JAX, and with a moving average of the weights, it wants all that it was built on.

    Args:
        optimizer: Keras optimizer, built.
        variables: List of the variables that it goes on with.
    """
    inner = getattr(optimizer, "inner_optimizer", None)
    if inner is not None:
        narrow_optimizer(inner, variables)
    averages = getattr(plain_optimizer(optimizer), "use_ema", False)
    if keras.backend.backend() == "tensorflow" and not averages:
        return
    if hasattr(optimizer, "carry_on"):  # it keeps the state of what it is not built on
        optimizer.build(variables)
        return
    kept_ids = {id(variable) for variable in variables}
    known = list(optimizer._trainable_variables)
    kept = [i for i, variable in enumerate(known) if id(variable) in kept_ids]
    dropped: set[int] = set()
    attributes = vars(optimizer)  # past Keras, which would take lists for its own
    for name, slots in list_slots(optimizer, len(known)).items():
        left = [x for i, x in enumerate(slots) if i not in kept]
        dropped.update(id(x) for x in left if x is not None)
        attributes[name] = [slots[i] for i in kept]
    attributes["_trainable_variables"] = [known[i] for i in kept]
    indices = {optimizer._var_key(known[old]): new for new, old in enumerate(kept)}
    attributes["_trainable_variables_indices"] = indices
    for place in reversed(range(len(optimizer._variables))):
        if id(optimizer._variables[place]) in dropped:
            optimizer._variables.pop(place)


def list_slots(optimizer, count):
    """Return what a Keras optimizer keeps for each of its variables.

    Args:
        optimizer: `keras.optimizers.Optimizer`, built.
        count: Number of variables it is built on.

    Returns:
        Dict from the name of an attribute to its list: a `keras.Variable` of any shape,
        or `None`, for each variable; in the order of the names.
    """
    return {
        name: value
        for name, value in sorted(vars(optimizer).items())
        if name not in _NOT_SLOTS
        and isinstance(value, list)
        and len(value) == count
        and all(x is None or isinstance(x, keras.Variable) for x in value)
    }
