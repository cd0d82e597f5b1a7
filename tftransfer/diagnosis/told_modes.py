"""Layers that a model's graph calls with `training=` said."""

import keras

from tftransfer.freezing.graph import graph_of, nested_models


def layers_told(model, training):
    """List the layers, and models, that a graph calls with `training=True` or `False`.

    Args:
        model: `keras.Model`; of one without a graph nothing is known.
        training: `bool`.

    Returns:
        List of `keras.Layer`.
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
    ]
