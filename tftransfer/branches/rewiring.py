"""A functional model wired anew from the same layers."""

import keras

from tftransfer.distribution.scope import scope_of
from tftransfer.freezing.blocks import FEATURES
from tftransfer.freezing.graph import has_graph
from tftransfer.freezing.recompiling import recompile


def rewire(model, call=None, replace=None):
    """Return a functional model of the same layers in which calls are changed.

    Args:
        model: Functional `keras.Model` without nested models. Its layers are shared,
            not copied, and keep their flags.
        call: Function `(layer, *args, **kwargs)` that returns what the layer shall
            give there, or `None`: what it gives.
        replace: Function from a layer to the one that takes its place, or `None`.

    Returns:
        A `keras.Model` on the same inputs, compiled as `model` is, with a new
        optimizer.
    """

    def clone(layer):
        is_layer = isinstance(layer, keras.Layer)
        return replace(layer) if replace is not None and is_layer else layer

    if isinstance(model, keras.Sequential):
        model = as_functional(model)
    with scope_of(model):
        rewired = keras.models.clone_model(
            model,
            input_tensors=model.input,
            clone_function=clone,
            call_function=call,
        )
        recompile(rewired)
    return rewired


def as_functional(model):
    """Return a Sequential model as a functional one of the same layers."""
    with scope_of(model):
        functional = keras.Model(model.inputs, model.outputs[0], name=model.name)
        if model.compiled:
            functional.compile_from_config(model.get_compile_config())
    return functional


def check_flat(model, advice):
    """Raise unless `model` is functional, not nested, and has a layer `features`.

    Args:
        model: What was given.
        advice: What to do instead, one sentence.
    """
    if not isinstance(model, keras.Model) or not has_graph(model):
        raise TypeError(
            "`model` must be a functional keras.Model. Received: model of type "
            f"{type(model).__name__}. {advice}"
        )
    nested = [layer.name for layer in model.layers if has_graph(layer)]
    names = [layer.name for layer in model.layers]
    if nested or FEATURES not in names:
        found = f"a nested model {nested[0]!r}" if nested else f"layers {names[-3:]}"
        raise ValueError(
            "`model` must be one flat graph with a layer named 'features', as "
            f"build_transfer_model makes it. Received: {found}. {advice}"
        )
