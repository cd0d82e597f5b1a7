"""Layers that a model's graph calls with `training=` said."""

import inspect

import keras

from tftransfer.freezing.graph import graph_of, nested_models


def layers_told(model, training):
    """List the layers, and models, that a graph calls with `training=True` or `False`.

    Args:
        model: `keras.Model`; of one without a graph nothing is known.
        training: `bool`.

    Returns:
        List of `keras.Layer`. What a layer takes for granted, as those of augmentation
        do, is noted in the graph like what was said; such layers are left out.
    """
    try:
        graph = graph_of(model)
    except ValueError:
        return []
    nodes = [
        node
        for part in (graph, *nested_models(graph))
        for level in getattr(part, "_functional", part)._nodes_by_depth.values()
        for node in level
    ]
    return [
        node.operation
        for node in nodes
        if node.arguments.kwargs.get("training") is training
        and isinstance(node.operation, keras.Layer)
        and _default_of(node.operation) is not training
    ]


def _default_of(layer):
    parameters = inspect.signature(type(layer).call).parameters
    return parameters["training"].default if "training" in parameters else None
