"""Whether the head of a model has been trained."""

import keras
import numpy as np

from tftransfer.freezing.blocks import split_model
from tftransfer.freezing.recompiling import plain_optimizer


def is_head_new(model):
    """Whether the head is as it was made: no step was taken, no bias is other than 0.

    Args:
        model: `keras.Model`.

    Returns:
        `bool`; a model loaded without its optimizer and without a bias in its head
        counts as new.
    """
    optimizer = plain_optimizer(getattr(model, "optimizer", None))
    steps = getattr(optimizer, "iterations", None)
    if steps is not None and int(keras.ops.convert_to_numpy(steps)) > 0:
        return False
    return not any(
        np.any(keras.ops.convert_to_numpy(variable))
        for layer in head_layers(model)
        for variable in layer.weights
        if len(variable.shape) == 1
    )


def head_layers(model):
    """List the layers of the head; of a model without a graph the last with weights."""
    try:
        return split_model(model)[1]
    except ValueError:
        weighted = [x for x in model._flatten_layers() if x.weights and not x._layers]
        return weighted[-1:]
