"""Whether class shares differ in the target, and whether that could be seen at all."""

import dataclasses

import numpy as np

from tftransfer.methods.problem import Problem
from tftransfer.methods.softmax_regression import (
    fit_softmax_regression,
    one_hot,
    softmax,
)

LEAST_DETECTABLE = 0.1  # distance of shares, below which target units hide a change
MOST_CLOSE = 0.65  # of the detectable distance
MOST_OF_CONTROL = 0.08  # where nothing is detectable: what the control itself may show
_STEPS, _TRIALS, _KEPT = 10, 6, 0.15


@dataclasses.dataclass(frozen=True)
class Shares:
    """Distances of class shares from those of the source, total variation in 0..1.

    Attributes:
        found: Of the target in its own units.
        detectable: What a real change of shares, made from the source, shows there.
        of_control: Of the control's calls, plus what the number of rows leaves open.
    """

    found: float
    detectable: float
    of_control: float

    @property
    def can_be_seen(self):
        """Whether a change of shares would show in target units."""
        return self.detectable >= LEAST_DETECTABLE

    @property
    def are_close(self):
        """Whether the target's shares look like those of the source."""
        if self.can_be_seen:
            return self.found <= MOST_CLOSE * self.detectable
        return self.of_control <= MOST_OF_CONTROL

    @property
    def may_differ_a_little(self):
        """Whether they differ by less than the change that was made shows."""
        return self.can_be_seen and self.found <= self.detectable


def compare_shares(problem, control):
    """Compare the class shares of the target with those of the source.

    A target in units of its own has lost what moved all of its rows, also where that
    was no shift but a class that is rare there. So methods in target units may be
    trusted only where class shares are about the same. Predicted shares tell, if
    classes are far enough apart: how much they would tell is tried out on the source,
    half of which is thinned to 15 % in half of the classes, standardized by itself, and
    labeled by a model of the other half. With two classes that overlap, standardizing
    makes the predicted shares those of the source whatever they are; then the control's
    own calls must have them too.

    Args:
        problem: `Problem`.
        control: `Control`.

    Returns:
        `Shares`.

    Example:

    >>> from tftransfer.adaptation.shares import compare_shares
    >>> from tftransfer.methods.control import fit_control
    >>> from tftransfer.methods.problem import Problem
    >>> draw, labels = np.random.default_rng(0).normal, np.arange(300) % 3
    >>> source = draw(size=(300, 3)) + 6 * np.eye(3)[labels]
    >>> moved, rare = source + 2, source[(labels > 0) | (np.arange(300) < 60)]
    >>> for target in (moved, rare):
    ...     problem = Problem(source, labels, target, 3)
    ...     print(compare_shares(problem, fit_control(problem)).are_close)
    True
    False
    """
    own = np.bincount(problem.labels, minlength=problem.num_classes)
    own = own / own.sum()
    found = _predict_in_target_units(problem, control)
    count, freedom = len(control.labels), problem.num_classes - 1
    open_to_chance = np.sqrt(freedom / count) / 2
    return Shares(
        found=_distance(found, own),
        detectable=_simulate(problem, control.penalty),
        of_control=_distance(control.labels, own) + float(open_to_chance),
    )


def _predict_in_target_units(problem, control):
    """Return calls of target rows, standardized for the shares that they show.

    Target rows in their own units are moved to where source rows of the shares
    predicted so far have their mean, until the shares hold.
    """
    means = np.stack(
        [
            problem.scaled_source[problem.labels == label].mean(axis=0)
            for label in range(problem.num_classes)
        ]
    )
    logits = control.logits(problem.target_by_target)
    of_means = means @ control.weights
    shares = np.bincount(problem.labels, minlength=problem.num_classes)
    shares = shares / shares.sum()
    for _ in range(_STEPS):
        shares = softmax(logits + shares @ of_means).mean(axis=0)
    return softmax(logits + shares @ of_means).argmax(axis=1)


def _simulate(problem, penalty):
    """Return the mean distance that changes made from the source show."""
    rng = np.random.default_rng(problem.seed)
    order = rng.permutation(len(problem.labels))
    learned, changed = order[: len(order) // 2], order[len(order) // 2 :]
    distances = []
    labels, size = problem.labels, problem.num_classes
    own = np.bincount(labels[learned], minlength=size) / len(learned)
    model = None
    for _ in range(_TRIALS):
        rare = rng.permutation(size)[: size // 2]
        keep = np.where(np.isin(labels[changed], rare), _KEPT, 1.0)
        rows = changed[rng.random(len(changed)) < keep]
        if not len(rows):
            continue
        trial = Problem(
            problem.source[learned], labels[learned], problem.source[rows], size
        )
        if model is None:
            targets = one_hot(trial.labels, size)
            model = fit_softmax_regression(trial.scaled_source, targets, penalty)
        calls = model.logits(trial.target_by_target).argmax(axis=1)
        distances.append(_distance(calls, own))
    return float(np.mean(distances)) if distances else 0.0


def _distance(calls, shares):
    """Return the total variation between shares of calls and given shares."""
    found = np.bincount(calls, minlength=len(shares)) / len(calls)
    return float(np.abs(found - shares).sum() / 2)
