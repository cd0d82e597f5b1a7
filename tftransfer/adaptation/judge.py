"""The cross-fitted control vote: does the target itself side with a change?"""

import dataclasses
from collections.abc import Callable

import numpy as np

from tftransfer.methods.ensemble import MeanModel
from tftransfer.methods.principal_components import find_components
from tftransfer.methods.softmax_regression import (
    ScaledModel,
    fit_softmax_regression,
    one_hot,
)

_COMPONENTS, _HALVINGS, _PENALTY, _ITERATIONS = 128, 3, 0.03, 30


@dataclasses.dataclass(frozen=True)
class Judge:
    """What one half of the target, labeled by the control, says of the other half.

    Attributes:
        probabilities: Float array `(m, num_classes)` of the target rows.
        predict: Function from raw rows `(k, width)` to `(k, num_classes)`.
    """

    probabilities: np.ndarray
    predict: Callable

    def vote(self, control_labels, labels):
        """Count for how many changed rows the judge prefers the new class.

        Args:
            control_labels: Whole numbers `(m,)`.
            labels: Whole numbers `(m,)` of a candidate.

        Returns:
            Float: `(n+ - n-) / sqrt(n+ + n-)`, with `n+` the changed rows to whose new
            class the judge gives more, and `n-` the others; 0 where nothing changed.
        """
        changed = np.flatnonzero(labels != control_labels)
        if not len(changed):
            return 0.0
        new = self.probabilities[changed, labels[changed]]
        old = self.probabilities[changed, control_labels[changed]]
        wins = np.sum(new > old)
        return float((2 * wins - len(changed)) / np.sqrt(len(changed)))


def fit_judge(problem, control):
    """Fit the judge: the control's calls, learned anew on halves of the target.

    The target, standardized by itself, in 128 principal components. Of three random
    halvings each half learns the control's hard labels and predicts the other half.
    Where the control errs against the shape of the target's own clusters, the halves
    outvote it.

    Args:
        problem: `Problem`.
        control: `Control`.

    Returns:
        `Judge`.

    Example:

    >>> from tftransfer.methods.control import fit_control
    >>> from tftransfer.adaptation.judge import fit_judge
    >>> from tftransfer.methods.problem import Problem
    >>> labels = np.arange(60) % 2
    >>> source = np.stack([2.0 * labels, np.sin(np.arange(60))], axis=1)
    >>> problem = Problem(source, labels, source, 2)
    >>> judge = fit_judge(problem, fit_control(problem))
    >>> judge.vote(labels, 1 - labels) < -7  # every label turned over: no
    True
    """
    generator = np.random.default_rng(problem.seed)
    components = find_components(problem.target_by_target, _COMPONENTS)
    rows = components(problem.target_by_target)
    targets = one_hot(control.labels, problem.num_classes)
    total, models = np.zeros(targets.shape), []
    for _ in range(_HALVINGS):
        order = generator.permutation(len(rows))
        halves = order[: len(rows) // 2], order[len(rows) // 2 :]
        for learned, predicted in (halves, halves[::-1]):
            model = fit_softmax_regression(
                rows[learned], targets[learned], _PENALTY, max_iterations=_ITERATIONS
            )
            total[predicted] += model(rows[predicted])
            models.append(model)
    model = ScaledModel(components, MeanModel(models))
    return Judge(total / _HALVINGS, ScaledModel(problem.by_target, model))
