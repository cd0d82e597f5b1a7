"""What a strategy does to a model before its stages, and undoes after them."""

import contextlib
import dataclasses

from tftransfer.branches.hybrid_sharing import HybridSharing
from tftransfer.data.labeled_domains import join_domains, pair_labeled_domains
from tftransfer.freezing.depth import change_flags
from tftransfer.freezing.graph import graph_of
from tftransfer.freezing.recompiling import (
    carries_on,
    plain_optimizer,
    recompile,
    renew_optimizer,
    set_optimizer,
)
from tftransfer.lora.rates import has_low_rank, lora_rates
from tftransfer.rates.layerwise_rates import LayerwiseRates
from tftransfer.rates.rules import can_be_layerwise
from tftransfer.training.batches import read_data
from tftransfer.training.data_checks import check_data
from tftransfer.training.random_weights import check_can_start_anew, draw_weights_anew
from tftransfer.training.strategies import MIXING


@contextlib.contextmanager
def prepared(model, plan, stages):
    """Yield what is to be trained: the model itself, or what trains it.

    Args:
        model: Compiled `keras.Model`.
        plan: `Plan`, or `None`.
        stages: List of `Stage`.
    """
    if plan is not None and plan.from_scratch:
        draw_weights_anew(model)
    with contextlib.ExitStack() as stack:
        if plan is not None and plan.layer_decay is not None:
            rates = {"layer_decay": plan.layer_decay}
            stack.enter_context(_layerwise(model, rates, stages[0]))
        elif takes_lora_rates(model, stages):
            rates = {"rates": lora_rates(model)}
            stack.enter_context(_layerwise(model, rates, stages[0]))
        if plan is not None and plan.private_depth is not None:
            if _aligns(model):  # `shared` is compiled in its place
                stack.callback(recompile, model)
            yield _share(model, plan.private_depth)
            return
        if plan is not None and plan.strategy.source is not None and _aligns(model):
            stack.callback(setattr, model, "labels_both", model.labels_both)
            model.labels_both = True
        yield model


def takes_lora_rates(model, stages):
    """Whether `fine_tune` gives adapters and what learns whole rates of their own."""
    is_auto = all(stage.learning_rate == "auto" for stage in stages)
    opens = any(stage.trainable_depth != 0 for stage in stages)
    if not is_auto or not opens or not has_low_rank(model):
        return False
    return not carries_on(model.optimizer) and can_be_layerwise(model.optimizer)


@contextlib.contextmanager
def _layerwise(model, rates, first_stage):
    # What learns later gets its moments then, as in a run that is resumed.
    change_flags(model, first_stage.trainable_depth, first_stage.batch_norm)
    before = plain_optimizer(model.optimizer)
    set_optimizer(model, LayerwiseRates(renew_optimizer(before), **rates))
    try:
        yield
    finally:
        set_optimizer(model, renew_optimizer(before))


def _share(model, private_depth):
    alignment = getattr(model, "alignment", None)
    shared = HybridSharing(graph_of(model), private_depth, alignment)
    shared.compile_from_config(model.get_compile_config())
    return shared


def _aligns(model):
    return getattr(model, "alignment", None) is not None


def take_domains(model, plan, data):
    """Return the training data of a plan, and its stages with data of their own.

    A model with alignment gets pairs of both domains in every stage.

    Args:
        model: Compiled `keras.Model`.
        plan: `Plan`.
        data: `TrainingData` of the target.

    Returns:
        `TrainingData` and list of `Stage`.

    Raises:
        ValueError: If the data of the source do not fit.
    """
    strategy, aligns = plan.strategy, _aligns(model)
    if strategy.source is None:
        return data, plan.stages
    if hasattr(data.source, "domains"):
        raise ValueError(
            f"`train` must be labeled data of the target alone for the strategy "
            f"{strategy.name!r}, which has the source itself. Received: pairs of two "
            "domains. Pass what pair_domains got as target, with its labels."
        )
    source = read_data("source", strategy.source)
    check_data(model, source, several_classes=True)
    if plan.virtual_rows:
        return data, plan.stages
    if plan.domains[0] in MIXING:
        mixed = _mix(source, data, plan, aligns)
        return read_data("train", mixed), plan.stages
    domains = {"source": source.source, "target": data.source}
    if aligns:
        both = source.as_dataset(), data.as_dataset()
        domains = {
            name: pair_labeled_domains(*both, source_weight=weight, epoch=name)
            for name, weight in (("source", 1), ("target", 0))
        }
    stages = [
        dataclasses.replace(stage, data=domains["source"] if name == "source" else None)
        for stage, name in zip(plan.stages, plan.domains, strict=True)
    ]
    return read_data("train", domains["target"]), stages


def _mix(source, target, plan, aligns):
    mix = pair_labeled_domains if aligns else MIXING[plan.domains[0]]
    domains = source, target
    if mix is join_domains and all(x.is_arrays for x in domains):
        given = [x.source for x in domains]
    else:
        given = [x.as_dataset() for x in domains]
    return mix(*given, source_weight=plan.strategy.source_weight)


def check_preparable(model, plan):
    """Raise `ValueError` where `prepared` could not do what the plan says."""
    if plan.layer_decay is not None and carries_on(model.optimizer):
        raise ValueError(
            "`model` must not be compiled with LayerwiseRates for the strategy "
            "'discriminative', which brings its own. Received: "
            f"{type(plain_optimizer(model.optimizer)).__name__}. Take "
            "strategy='head_then_all', or compile the model with a plain optimizer."
        )
    regularizes = bool(getattr(model, "regularization", None))
    if plan.private_depth is not None and regularizes:
        raise ValueError(
            f"`model` must have no regularization for the strategy "
            f"{plan.strategy.name!r}, in which half of the last layers are new copies. "
            f"Received: {model.name!r} with regularization. Leave it out."
        )
    if plan.from_scratch:
        check_can_start_anew(model)
