"""Refit the control on source rows that were moved or weighted."""

import dataclasses
from collections.abc import Callable

from tftransfer.methods.problem import Candidate
from tftransfer.methods.softmax_regression import (
    ScaledModel,
    fit_softmax_regression,
    one_hot,
)
from tftransfer.methods.target_input import PREFIXES, target_input


@dataclasses.dataclass(frozen=True)
class InTurn:
    """One function of rows after another, both kept as they are.

    Attributes:
        first: Function from rows to rows, for example a `Scaling`.
        then: Function of what it gives.
    """

    first: Callable
    then: Callable

    def __call__(self, rows):
        """Return `then(first(rows))`."""
        return self.then(self.first(rows))


def refit(name, problem, control, source, *, scaling=None, embed=None, weights=None):
    """Fit softmax regression with the control's penalty, and label the target with it.

    Args:
        name: Of the candidate.
        problem: `Problem`.
        control: `Control`.
        source: Source rows as the method moved them, `(n, k)`.
        scaling: `Scaling` of target rows; into source units where left out.
        embed: Function from scaled target rows `(m, width)` to `(m, k)`; nothing is
            done to them where left out.
        weights: Weights of source rows `(n,)`; all the same where left out.

    Returns:
        `Candidate`.
    """
    targets = one_hot(problem.labels, problem.num_classes)
    start = control.model if source.shape[1] == len(control.weights) else None
    model = fit_softmax_regression(
        source, targets, control.penalty, weights=weights, start=start
    )
    scaling = problem.by_source if scaling is None else scaling
    predict = ScaledModel(scaling if embed is None else InTurn(scaling, embed), model)
    return Candidate(name, predict(problem.target), predict)


def refit_in(name, problem, control, describe, *, units):
    """Describe both domains anew, and refit the control on what comes out.

    Args:
        name: Of the candidate, without the prefix that tells the units.
        problem: `Problem`.
        control: `Control`.
        describe: Function from scaled source rows `(n, width)` and target rows
            `(m, width)` to what is then done to source and to target rows: two
            functions of rows, or `None` for the target's where these stay.
        units: How target rows are scaled, `"source"` or `"target"`.

    Returns:
        `Candidate`.

    Raises:
        ValueError: If `units` is something else.
    """
    target, scaling = target_input(problem, units)
    source, name = problem.scaled_source, f"{PREFIXES[units]}.{name}"
    of_source, of_target = describe(source, target)
    moved = of_source(source)
    return refit(name, problem, control, moved, scaling=scaling, embed=of_target)
