"""What a strategy does to a model before its stages, and undoes after them."""

import contextlib
import dataclasses

import keras

from tftransfer.branches.hybrid_sharing import HybridSharing
from tftransfer.data.labeled_domains import pair_labeled_domains
from tftransfer.freezing.batch_norm import batch_norms
from tftransfer.freezing.blocks import split_model
from tftransfer.freezing.flags import has_adapters
from tftransfer.freezing.graph import graph_of
from tftransfer.freezing.recompiling import (
    carries_on,
    plain_optimizer,
    renew_optimizer,
    set_optimizer,
)
from tftransfer.rates.layerwise_rates import LayerwiseRates
from tftransfer.training.batches import read_data
from tftransfer.training.data_checks import check_data
from tftransfer.training.strategies import MIXING

SCRATCH_MOMENTUM = 0.9  # of BatchNormalization, as in networks that are new


@contextlib.contextmanager
def prepared(model, plan):
    """Yield what is to be trained: the model itself, or what trains it.

    Args:
        model: Compiled `keras.Model`.
        plan: `Plan`, or `None`.
    """
    if plan is None:
        yield model
        return
    if plan.from_scratch:
        draw_weights_anew(model)
    if plan.private_depth is not None:
        yield HybridSharing(model, plan.private_depth)
        return
    if plan.layer_decay is None:
        yield model
        return
    before = plain_optimizer(model.optimizer)
    rates = LayerwiseRates(renew_optimizer(before), layer_decay=plan.layer_decay)
    set_optimizer(model, rates)
    try:
        yield model
    finally:
        set_optimizer(model, renew_optimizer(before))


def take_domains(model, plan, data):
    """Return the training data of a plan, and its stages with data of their own.

    Args:
        model: Compiled `keras.Model`.
        plan: `Plan`.
        data: `TrainingData` of the target.

    Returns:
        `TrainingData` and list of `Stage`.

    Raises:
        ValueError: If the data of the source do not fit.
    """
    strategy = plan.strategy
    if strategy.source is None:
        return data, plan.stages
    source = read_data("source", strategy.source)
    check_data(model, source, several_classes=True)
    if plan.virtual_rows:
        return data, plan.stages
    mix = MIXING.get(plan.domains[0])
    if mix is not None:
        both = [source, data]
        if mix is pair_labeled_domains or not all(x.is_arrays for x in both):
            both = [x.as_dataset() for x in both]
        else:
            both = [x.source for x in both]
        mixed = mix(*both, source_weight=strategy.source_weight)
        return read_data("train", mixed), plan.stages
    stages = [
        dataclasses.replace(stage, data=source.source if name == "source" else None)
        for stage, name in zip(plan.stages, plan.domains, strict=True)
    ]
    return data, stages


def check_preparable(model, plan):
    """Raise `ValueError` where `prepared` could not do what the plan says."""
    if plan.layer_decay is not None and carries_on(model.optimizer):
        raise ValueError(
            "`model` must not be compiled with LayerwiseRates for the strategy "
            "'discriminative', which brings its own. Received: "
            f"{type(plain_optimizer(model.optimizer)).__name__}. Take "
            "strategy='head_then_all', or compile the model with a plain optimizer."
        )
    name = plan.strategy.name
    if plan.domains[0] in MIXING and getattr(model, "alignment", None) is not None:
        raise ValueError(
            f"`model` must have no alignment for the strategy {name!r}, which learns "
            "from labeled rows of both domains; alignment learns from pairs. Received: "
            f"a model with {type(model.alignment).__name__}. Leave alignment out, or "
            "take another strategy and train on tft.pair_domains(source, target)."
        )
    if plan.private_depth is not None and graph_of(model) is not model:
        raise ValueError(
            f"`model` must be a plain Keras model for the strategy {name!r}. Received: "
            f"one of type {type(model).__name__}. Leave regularization out."
        )
    if plan.from_scratch and has_adapters(model):
        raise ValueError(
            "`model` must have no adapters to start from scratch, where nothing is "
            "frozen. Received: a model with adapters. Give it the plain model, which "
            "merge_lora(model) makes of one with LoRA."
        )


def draw_weights_anew(model):
    """Replace the weights of all layers by new random ones, as their settings say.

    Means and variances of preprocessing stay. BatchNormalization gets a momentum that
    its statistics keep up with in a short run: pretrained networks come with up to
    0.999, at which they would lag behind the weights for thousands of steps. What a
    regularization holds the weights near to are the new ones.

    Args:
        model: Functional model, or a wrapper that has one as `.model`.

    Raises:
        ValueError: If a block is of a SavedModel, whose weights come with it.
    """
    for layer, values in _draw(model):
        layer.set_weights(values)
    for layer in batch_norms(model):
        layer.momentum = min(layer.momentum, SCRATCH_MOMENTUM)
    if hasattr(model, "take_start"):
        model.take_start()


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
