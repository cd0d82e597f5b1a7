"""A strategy of fine-tuning by its name, with its options."""

import dataclasses
from typing import Any

from tftransfer.checks import (
    check_choice,
    check_number,
    check_positive,
    check_whole_number,
)

STRATEGIES = {  # name -> what it does, in one line
    "head_only": "the backbone stays as it is",
    "head_then_all": "the head first, then everything at a tenth of the rate",
    "gradual_unfreezing": "the head first, then block by block from the output down",
    "discriminative": "the head first, then everything, each block slower than the "
    "one above it",
    "full": "everything at once at a tenth of the rate",
    "from_scratch": "everything from random weights: the control",
    "source_then_target": "everything on another labeled domain, then on the target",
    "target_then_source": "everything on the target, then on another labeled domain",
    "joint": "both labeled domains together, each with its share of the loss",
    "hybrid_sharing": "both labeled domains, with last layers of their own",
    "residual_adapter": "thin layers behind the blocks of a frozen backbone",
    "feature_extractor_network": "a small network beside a frozen backbone",
}
OF_TWO_DOMAINS = (
    "source_then_target",
    "target_then_source",
    "joint",
    "hybrid_sharing",
)

_OPTIONS = {  # of `Strategy` -> the strategies that have it
    "source_weight": ("joint", "hybrid_sharing"),
    "virtual_rows": ("joint",),
    "private_depth": ("hybrid_sharing",),
    "layer_decay": ("discriminative",),
}


@dataclasses.dataclass(frozen=True, eq=False)
class Strategy:
    """A strategy of `fine_tune` by its name, with options where the name has some.

    `describe_strategy` shows what it comes to for a model.

    Args:
        name: One of `"head_only"`, `"head_then_all"`, `"gradual_unfreezing"`,
            `"discriminative"`, `"full"`, `"from_scratch"`, `"source_then_target"`,
            `"target_then_source"`, `"joint"`, `"hybrid_sharing"`,
            `"residual_adapter"`, `"feature_extractor_network"`.
        source: Labeled data of the other domain, a batched `tf.data.Dataset` of
            `(x, y)` or arrays, for the four strategies of two domains.
        source_weight: Share of the source in the loss of `"joint"` and
            `"hybrid_sharing"`, above 0 and below 1.
        virtual_rows: With `"joint"`: rows to draw for each class of the target, in
            feature space, on a frozen backbone; see `draw_virtual_features`. 0 trains
            everything on real rows.
        private_depth: With `"hybrid_sharing"`: blocks that each domain has for itself.
        layer_decay: With `"discriminative"`: factor from each block to the one below.

    Raises:
        ValueError: If the name is unknown, an option is out of range, or `source` is
            missing or has no place.

    Example:

    >>> tft.Strategy("discriminative", layer_decay=0.9).layer_decay
    0.9
    """

    name: str
    source: Any = None
    source_weight: float = 0.5
    virtual_rows: int = 0
    private_depth: int | float | str = 1
    layer_decay: float = 0.75

    def __post_init__(self):
        check_choice("strategy", self.name, STRATEGIES)
        check_number("source_weight", self.source_weight, 0, 1)
        check_whole_number("virtual_rows", self.virtual_rows, 0)
        check_positive("layer_decay", self.layer_decay)
        check_number("layer_decay", self.layer_decay, 0, 1)
        self._check_places()
        if (self.name in OF_TWO_DOMAINS) != (self.source is not None):
            needs = "have" if self.source is None else "have no"
            given = "none" if self.source is None else "one"
            raise ValueError(
                f"`strategy` {self.name!r} must {needs} labeled source data. Received: "
                f"{given}. Write tft.Strategy({self.name!r}"
                f"{', source=dataset' if self.source is None else ''})."
            )

    def _check_places(self):
        """Refuse an option that the strategy of this name does not have."""
        for option, names in _OPTIONS.items():
            usual = type(self).__dataclass_fields__[option].default
            if getattr(self, option) != usual and self.name not in names:
                raise ValueError(
                    f"`{option}` must be left out but for {' and '.join(names)}. "
                    f"Received: {option}={getattr(self, option)!r} with {self.name!r}. "
                    "Leave it out, or take that strategy."
                )
        if self.source is not None and not 0 < self.source_weight < 1:
            raise ValueError(
                "`source_weight` must be above 0 and below 1. Received: "
                f"source_weight={self.source_weight!r}. Give both domains a share."
            )


def read_strategy(strategy):
    """Return a `Strategy` from one or its name.

    Raises:
        ValueError: If the name is unknown or needs options.
        TypeError: If it is neither.
    """
    if isinstance(strategy, Strategy):
        return strategy
    if not isinstance(strategy, str):
        raise TypeError(
            "`strategy` must be the name of one or a Strategy. Received: strategy of "
            f"type {type(strategy).__name__}. Pass for example 'head_then_all'."
        )
    return Strategy(strategy)
