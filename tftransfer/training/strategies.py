"""Ways to fine-tune, by name: each a list of stages and options one could write."""

import dataclasses
from typing import Any

from tftransfer.branches.residual_adapter import has_residual_adapters
from tftransfer.branches.side_network import has_side_network
from tftransfer.checks import check_whole_number
from tftransfer.data.labeled_domains import join_domains, pair_labeled_domains
from tftransfer.freezing.blocks import model_blocks
from tftransfer.freezing.graph import graph_of
from tftransfer.freezing.recompiling import own_rate
from tftransfer.training.stages import Stage

MIXING: dict = {"joined": join_domains, "paired": pair_labeled_domains}


@dataclasses.dataclass(frozen=True, eq=False)
class Plan:
    """What a strategy comes to for a model.

    Attributes:
        strategy: The `Strategy`.
        stages: List of `Stage`.
        domains: `"target"` and `"source"` in the order in which stages learn from one
            of them; `("joined",)` or `("paired",)` for both at once in every stage.
        layer_decay: Of `LayerwiseRates`, or `None` for the model's own optimizer.
        from_scratch: Whether all that learns starts from random weights.
        private_depth: Of `HybridSharing`, or `None`.
        virtual_rows: Rows to draw for each class, on stored features; 0 for none.
    """

    strategy: Any
    stages: list
    domains: tuple = ("target",)
    layer_decay: float | None = None
    from_scratch: bool = False
    private_depth: Any = None
    virtual_rows: int = 0


def plan_strategy(strategy, model, epochs):
    """Return the `Plan` of a strategy for a model and a number of epochs.

    Args:
        strategy: `Strategy`.
        model: Compiled model with a graph.
        epochs: Epochs in all, at least 1.

    Raises:
        ValueError: If the epochs are too few, or the model is not what the strategy
            trains.
    """
    check_whole_number("epochs", epochs)
    graph_of(model)
    return _PLANS[strategy.name](strategy, model, epochs)


def _plan_head_only(strategy, model, epochs):
    return Plan(strategy, [Stage(epochs, trainable_depth=0)])


def _plan_head_then_all(strategy, model, epochs):
    return Plan(strategy, _head_then("all", strategy, epochs))


def _plan_gradually(strategy, model, epochs):
    _check_epochs(strategy, epochs)
    num_blocks = len(model_blocks(model))
    num_stages = min(num_blocks + 1, epochs)
    stages = []
    for place in range(num_stages):
        depth = round(place * num_blocks / (num_stages - 1))
        share = epochs // num_stages + (place >= num_stages - epochs % num_stages)
        depth = "all" if place == num_stages - 1 else depth
        stages.append(Stage(share, trainable_depth=depth))
    return Plan(strategy, stages)


def _plan_discriminatively(strategy, model, epochs):
    stages = _head_then("all", strategy, epochs)
    return Plan(strategy, stages, layer_decay=strategy.layer_decay)


def _plan_full(strategy, model, epochs):
    return Plan(strategy, [Stage(epochs, trainable_depth="all")])


def _plan_from_scratch(strategy, model, epochs):
    rate = own_rate(model.optimizer)
    # Nothing pretrained to spare: the whole rate, and statistics of these data.
    stage = Stage(epochs, rate, trainable_depth="all", batch_norm="train")
    return Plan(strategy, [stage], from_scratch=True)


def _plan_one_after_other(strategy, model, epochs):
    _check_epochs(strategy, epochs)
    first, second = epochs // 2, epochs - epochs // 2
    stages = [Stage(second, trainable_depth="all")]
    domains: tuple = ("source", "target")
    if strategy.name == "target_then_source":
        domains = ("target", "source")
    # The head is new in the first of the two only.
    head = 1 if first > 1 else 0
    stages.insert(0, Stage(first - head, trainable_depth="all"))
    if head:
        stages.insert(0, Stage(head, trainable_depth=0))
        domains = (domains[0], *domains)
    return Plan(strategy, stages, domains)


def _plan_joint(strategy, model, epochs):
    if strategy.virtual_rows:
        _check_takes_virtual_rows(model)
        stages, rows = [Stage(epochs, trainable_depth=0)], strategy.virtual_rows
        return Plan(strategy, stages, ("joined",), virtual_rows=rows)
    return Plan(strategy, _head_then("all", strategy, epochs), ("joined",))


def _plan_sharing(strategy, model, epochs):
    # The lower half stays fixed, the upper is shared but for what is private.
    depth = max(1, len(model_blocks(model)) // 2)
    stages = _head_then(depth, strategy, epochs)
    return Plan(strategy, stages, ("paired",), private_depth=strategy.private_depth)


def _plan_adapters(strategy, model, epochs):
    _check_prepared(
        strategy, model, has_residual_adapters, "tft.add_residual_adapters(model)"
    )
    # The adapters are new, so they learn at the rate of a head.
    rate = own_rate(model.optimizer)
    return Plan(strategy, [Stage(epochs, rate, trainable_depth="all")])


def _plan_beside(strategy, model, epochs):
    _check_prepared(strategy, model, has_side_network, "tft.add_side_network(model)")
    return Plan(strategy, [Stage(epochs, trainable_depth=0)])


_PLANS = {
    "head_only": _plan_head_only,
    "head_then_all": _plan_head_then_all,
    "gradual_unfreezing": _plan_gradually,
    "discriminative": _plan_discriminatively,
    "full": _plan_full,
    "from_scratch": _plan_from_scratch,
    "source_then_target": _plan_one_after_other,
    "target_then_source": _plan_one_after_other,
    "joint": _plan_joint,
    "hybrid_sharing": _plan_sharing,
    "residual_adapter": _plan_adapters,
    "feature_extractor_network": _plan_beside,
}


def _head_then(depth, strategy, epochs):
    """A quarter of the epochs for the head, the others for `depth`."""
    _check_epochs(strategy, epochs)
    head = max(1, epochs // 4)
    return [
        Stage(head, trainable_depth=0),
        Stage(epochs - head, trainable_depth=depth),
    ]


def _check_epochs(strategy, epochs):
    if epochs < 2:
        raise ValueError(
            f"`epochs` must be at least 2 with strategy {strategy.name!r}, which has "
            f"several stages. Received: epochs={epochs}. Give it more epochs."
        )


def _check_takes_virtual_rows(model):
    if graph_of(model) is not model or has_side_network(model):
        what = "a side network" if has_side_network(model) else "more than its graph"
        raise ValueError(
            "`virtual_rows` must be 0 where more than a head learns on features: "
            "alignment, regularization and side networks see the inputs. Received: "
            f"{model.name!r} with {what}. Pass the plain model."
        )


def _check_prepared(strategy, model, is_prepared, line):
    if not is_prepared(model):
        raise ValueError(
            f"`model` must be prepared for strategy {strategy.name!r}, which adds "
            f"layers. Received: {model.name!r} without. Write model = {line} before."
        )
