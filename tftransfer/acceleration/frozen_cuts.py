"""Where a model can be cut so that all below is the same in every epoch."""

import dataclasses

import keras

from tftransfer.freezing.graph import has_graph, has_plain_call, read_graph
from tftransfer.freezing.parts import is_random, single_tensor_cuts


@dataclasses.dataclass(frozen=True)
class FrozenCuts:
    """The usable cuts of a model.

    Attributes:
        cuts: List of tuples of `Cut`, from input to output: one `Cut` for each of
            `entry_models(model)`, all at the same tensor.
        obstacle: One line on why there are none, or none higher up; `None` where the
            highest lies right below what learns.
    """

    cuts: list
    obstacle: str | None


def entry_models(model):
    """Functional models that `model` passes its raw inputs to: usually itself.

    Args:
        model: `keras.Model`.

    Returns:
        List of models with a graph: `model`, or what it names as `entry_models`; empty
        where nothing tells.
    """
    if has_graph(model):
        return [getattr(model, "_functional", None) or model]
    return list(getattr(model, "entry_models", ()))


def find_frozen_cuts(model, *, allow_random=False):
    """Find the cuts below all that learns, or draws at random, in `fit`.

    Args:
        model: `keras.Model`.
        allow_random: Whether layers that draw at random, such as dropout, may lie
            below a cut: they then run in inference mode.

    Returns:
        `FrozenCuts`.
    """
    entries = entry_models(model)
    if not entries:
        why = getattr(model, "obstacle_to_cutting", None)
        return FrozenCuts([], why or "the model is not functional, so it cannot be cut")
    own = _overridden(model)
    if own:
        return FrozenCuts([], f"the model has its own {own}, which may use the inputs")
    if not all(map(has_plain_call, entries)):
        return FrozenCuts([], "the model has its own call")
    calls = read_graph(entries[0]).calls
    learning = {id(variable) for variable in model.trainable_variables}
    end, obstacle = len(calls), None
    for index, call in enumerate(calls):
        if _learns(call.operation, learning):
            end = index
            break
        if not allow_random and is_random(call.operation):
            end = index
            obstacle = (
                f"layer {call.operation.name!r} draws at random in training; "
                "augmented_views=k would store k draws"
            )
            break
    cuts = [
        cuts
        for cuts in _common_cuts(entries)
        if cuts[0].position < end and _has_weights(cuts[0].calls_below)
    ]
    if not cuts and obstacle is None:
        obstacle = _say_why_none(calls[:end])
    return FrozenCuts(cuts, obstacle)


def _say_why_none(calls):
    if calls and _has_weights(calls) and calls[-1].tensors[0].sparse:
        return f"features at {calls[-1].operation.name!r} are sparse"
    return "nothing with weights is frozen below the first layer that learns"


def _overridden(model):
    """Name of the first step that the model's class has of its own, or `None`."""
    steps = ("train_step", "test_step", "predict_step", "compute_loss")
    for name in (*steps, "compute_metrics"):
        if name in getattr(model, "steps_without_inputs", ()):
            continue
        if getattr(type(model), name) is not getattr(keras.Model, name):
            return name
    return None


def _common_cuts(entries):
    several = len(entries) > 1
    tables = [
        {id(cut.tensor): cut for cut in single_tensor_cuts(model, with_output=several)}
        for model in entries
    ]
    return [
        tuple(table[tensor] for table in tables)
        for tensor in tables[0]
        if all(tensor in table for table in tables)
    ]


def _learns(operation, learning):
    if any(id(variable) in learning for variable in _variables(operation)):
        return True
    # Without scale and offset it has nothing to learn, yet its statistics move.
    return isinstance(operation, keras.layers.BatchNormalization) and (
        operation.trainable
    )


def _variables(operation):
    return operation.variables if isinstance(operation, keras.Layer) else ()


def _has_weights(calls):
    """Whether some layer has weights but for the mean and variance of preprocessing."""
    return any(
        getattr(call.operation, "weights", None)
        and not isinstance(call.operation, keras.layers.Normalization)
        for call in calls
    )
