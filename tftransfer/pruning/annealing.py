"""How many units are left at a step, and which."""

import numpy as np

from tftransfer.pruning.channels import trace_channels
from tftransfer.pruning.masks import Masks
from tftransfer.pruning.shrinking import check_no_adapters
from tftransfer.pruning.targets import find_targets
from tftransfer.regularization.mixout import Mixout


def units_left(count, final, step, steps):
    """Number of units that are left after a step.

    Many go early, when there is most to spare, ever fewer towards the end.

    Formula, for `n` units of which `f` are left at the end:

        left(t) = f + (n - f) (1 - t / steps)^3, rounded

    Args:
        count: Units at the beginning.
        final: Units at the end.
        step: Steps made, from 0.
        steps: Steps altogether.

    Returns:
        An `int`.

    Example:

    >>> from tftransfer.pruning.annealing import units_left
    >>> [units_left(512, 8, step, 4) for step in range(5)]
    [512, 221, 71, 16, 8]

    Reference:
        [Zhu & Gupta, 2017](https://arxiv.org/abs/1710.01878), equation 1, with an
        initial sparsity of 0.
    """
    return round(final + (count - final) * (1 - step / steps) ** 3)


class Annealing:
    """The units of one model that are to go, and those that have gone.

    Args:
        model: Compiled `keras.Model`.
        units: As of `StructuredPruning`.

    Attributes:
        model: The model.
        channels: `Channels` of it.
        targets: List of `Target`.
        step: Steps made.
        removed: Int array of the groups that are switched off.

    Raises:
        ValueError: If `units` do not suit the model.
    """

    def __init__(self, model, units):
        check_no_adapters(model)
        _check_mixes_nothing(model)
        self.model, self.channels = model, trace_channels(model)
        self.targets = find_targets(model, self.channels, units)
        self.step, self.removed = 0, np.zeros(0, dtype="int64")
        groups = np.concatenate([target.units for target in self.targets])
        self._masks = Masks(self.channels, groups)

    @property
    def kept(self):
        """Dict from a layer to the numbers of its units that stay."""
        return {
            target.name: np.flatnonzero(~np.isin(target.units, self.removed))
            for target in self.targets
        }

    def begin(self):
        """Hold at zero what reads the units that are switched off.

        Raises:
            ValueError: If what reads units does not learn.
        """
        self._check_learns()
        self._masks.install(self.model)
        self._masks.set(self.model, self.removed)

    def end(self):
        """Leave the weights as they are."""
        self._masks.set(self.model, self.removed)
        self._masks.remove(self.model)

    def prune(self, steps, importance):
        """Make the next step: switch off the units that count least.

        Args:
            steps: Steps altogether.
            importance: Function of an int array of groups that returns a number for
                each.

        Raises:
            ValueError: If what reads units does not learn any more.
        """
        self._check_learns()
        left = [np.setdiff1d(target.units, self.removed) for target in self.targets]
        groups = np.unique(np.concatenate(left))
        scores = importance(groups)
        gone = [self.removed]
        for target, units in zip(self.targets, left, strict=True):
            count = units_left(len(target.units), target.final, self.step + 1, steps)
            order = np.argsort(scores[np.searchsorted(groups, units)], kind="stable")
            gone.append(units[order[: len(units) - count]])
        self.go_to(self.step + 1, np.concatenate(gone))

    def go_to(self, step, removed):
        """Switch off these groups and no others."""
        self.step, self.removed = step, removed
        self._masks.set(self.model, removed)

    def _check_learns(self):
        for part in self._masks.readers:
            if not part.variable.trainable:
                raise ValueError(
                    "`units` must be read by layers that learn, to make up for them. "
                    f"Received: units that {part.layer.name!r} reads, which is frozen. "
                    "Open it with set_trainable_depth; in fine_tune also pass "
                    "frozen_epochs=0."
                )

    def describe(self):
        """Tell what shall be left of what."""
        return ", ".join(
            f"{' + '.join(target.tied)} {len(target.units)} -> {target.final}"
            for target in self.targets
        )

    def summarize(self, steps):
        """Tell what is left of what."""
        kept = self.kept
        counts = [
            f"{x.name} {len(x.units)} -> {len(kept[x.name])}" for x in self.targets
        ]
        ended = "" if self.step == steps else f", after {self.step} of {steps} steps"
        return ", ".join(counts) + ended


def _check_mixes_nothing(model):
    for part in getattr(model, "regularization", ()):
        if isinstance(part, Mixout):
            raise ValueError(
                "`model` must train with the weights it has, or units that are "
                "switched off would come back. Received: a model with Mixout, which "
                "mixes in others. Prune with another regularization or none."
            )
