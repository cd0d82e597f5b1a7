"""What is kept for each weight, also for those that do not learn at the moment."""

import dataclasses
from typing import Any

from tftransfer.rates.rules import Rule, copy_bare


@dataclasses.dataclass
class Earlier:
    """What a weight had when the optimizer was last built with it.

    Attributes:
        steps: Number of steps made for it.
        product: Nadam's product of factors, or `None`.
        average: Its moving average, a `keras.Variable` or `None`.
        accumulator: Its accumulated gradients, a `keras.Variable` or `None`.
    """

    steps: int
    product: float | None
    average: Any
    accumulator: Any


class Slots:
    """Multipliers, rules and what there was earlier, by the key of a weight.

    A plain object: Keras would track, and save twice, what hangs on the optimizer.

    Args:
        optimizer: The optimizer whose settings count.

    Attributes:
        multipliers: Dict from key to multiplier.
        rules: Dict from key to the `Rule` that keeps the weight's slots.
        earlier: Dict from key to `Earlier`.
        made: Dict of tensors that all updates of one step share, `None` in between.
    """

    def __init__(self, optimizer):
        self.optimizer = optimizer
        # Keras first builds an optimizer inside a traced function, where configurations
        # have no values to read; later calls come from outside.
        self._first_copy = copy_bare(optimizer)
        self.multipliers: dict[Any, float] = {}
        self.rules: dict[Any, Rule] = {}
        self.earlier: dict[Any, Earlier] = {}
        self.made: dict | None = None

    def add_rules(self, keys, variables):
        """Make slots for the weights that have none and shall move.

        Raises:
            ValueError: If no weight would move.
        """
        if not any(self.multipliers[key] for key in keys):
            raise ValueError(
                "`rates` must let something move. Received: multiplier 0 for all "
                f"{len(keys)} weights that learn. Raise one, or open another layer."
            )
        new = {
            key: variable
            for key, variable in zip(keys, variables, strict=True)
            if self.multipliers[key] and key not in self.rules
        }
        if new:
            copy = copy_bare(self.optimizer) if self.rules else self._first_copy
            rule = Rule(copy, list(new.values()))
            self.rules.update(dict.fromkeys(new, rule))

    def exclude_from_weight_decay(self, *arguments):
        """Exclude weights from weight decay before rules are made."""
        for optimizer in (self.optimizer, self._first_copy):
            optimizer.exclude_from_weight_decay(*arguments)

    def of(self, key, variable):
        """List the slots of a weight, none if it does not move."""
        return self.rules[key].slots(variable) if key in self.rules else []
