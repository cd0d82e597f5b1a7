"""A network from random weights: the control that transfer has to beat."""

import keras

from tftransfer.freezing.batch_norm import batch_norms
from tftransfer.freezing.blocks import split_model
from tftransfer.freezing.flags import has_adapters
from tftransfer.freezing.graph import graph_of

SCRATCH_MOMENTUM = 0.9  # of BatchNormalization, as in networks that are new


def draw_weights_anew(model):
    """Replace the weights of all layers by new random ones, as their settings say.

    Means and variances of preprocessing stay. BatchNormalization gets a momentum that
    its statistics keep up with in a short run: pretrained networks come with up to
    0.999, at which they would lag behind the weights for thousands of steps. What a
    regularization holds the weights near to are the new ones.

    Args:
        model: Functional model, or a wrapper that has one as `.model`.

    Raises:
        ValueError: If a block is of a SavedModel, whose weights come with it, or the
            model has adapters.

    Example:

    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    >>> before = model.layers[0].kernel.numpy()
    >>> tft.draw_weights_anew(model)
    >>> bool((model.layers[0].kernel.numpy() == before).any())
    False

    Reference:
        The control of
        [Wang et al., 2019](https://arxiv.org/abs/1811.09751), where transfer that ends
        below it is called negative.
    """
    check_can_start_anew(model)
    for layer, values in _draw(model):
        layer.set_weights(values)
    for layer in batch_norms(model):
        layer.momentum = min(layer.momentum, SCRATCH_MOMENTUM)
    if hasattr(model, "take_start"):
        model.take_start()


def check_can_start_anew(model):
    """Raise `ValueError` where weights are frozen for good."""
    if has_adapters(model):
        raise ValueError(
            "`model` must have no adapters to start from scratch, where nothing is "
            "frozen. Received: a model with adapters. Give it the plain model, which "
            "merge_lora(model) makes of one with LoRA."
        )


def _draw(model):
    graph = graph_of(model)
    blocks, head = split_model(graph)
    clone = keras.models.clone_model(graph)
    layers = zip(graph._flatten_layers(), clone._flatten_layers(), strict=True)
    fresh = {id(layer): new.get_weights() for layer, new in layers}
    drawn = []
    for block in blocks:
        pairs = [(x, fresh[id(x)]) for x in block.layers if x.weights]
        if block.variables is not None:
            raise ValueError(
                "`model` must have layers that can start from random weights. "
                f"Received: block {block.name!r} of a SavedModel, whose weights come "
                "with it. Compare without 'from_scratch', or take another backbone."
            )
        drawn += pairs
    drawn += [(x, fresh[id(x)]) for x in head if x.weights]
    return [x for x in drawn if not isinstance(x[0], keras.layers.Normalization)]
