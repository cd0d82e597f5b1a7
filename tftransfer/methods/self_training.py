"""Class-balanced self-training: learn from the target's own confident calls."""

import numpy as np

from tftransfer.methods.problem import Candidate
from tftransfer.methods.softmax_regression import (
    ScaledModel,
    fit_softmax_regression,
    one_hot,
)
from tftransfer.methods.target_input import PREFIXES, first_guess, target_input


def self_training(problem, control, *, units="source", shares=(0.3, 0.5, 0.7, 0.9)):
    """Refit on the source and the most confident target calls of each class, in rounds.

    Each round takes of every predicted class its most confident share, and minimizes

        mean CE(source) + share * mean CE(taken) + penalty / 2 ||W||^2

    with the penalty of the control. Taking a share of each class, not one threshold
    for all, keeps easy classes from crowding out the others.

    Args:
        problem: `Problem`.
        control: `Control`.
        units: Of the target rows, `"source"` or `"target"` (per-domain
            standardization).
        shares: Part of each predicted class taken in each round, in 0..1.

    Returns:
        `Candidate` named `"S.cbst"` or `"D.cbst"`.

    Raises:
        ValueError: If `units` is something else.

    Example:

    >>> from tftransfer.methods.control import fit_control
    >>> from tftransfer.methods.problem import Problem
    >>> from tftransfer.methods.self_training import self_training
    >>> labels = np.arange(60) % 2
    >>> source = np.stack([2.0 * labels, np.sin(np.arange(60))], axis=1)
    >>> problem = Problem(source, labels, source + [0.4, 0], 2)
    >>> self_training(problem, fit_control(problem)).name
    'S.cbst'

    Reference:
        [Zou et al., 2018](https://arxiv.org/abs/1810.07911), section 4.2.
    """
    rows, scaling = target_input(problem, units)
    both = np.concatenate([problem.scaled_source, rows])
    source_targets = one_hot(problem.labels, problem.num_classes)
    probabilities = first_guess(problem, control, units).probabilities
    model = control.model
    for share in shares:
        taken = most_confident(probabilities, share)
        calls = one_hot(probabilities[taken].argmax(axis=1), problem.num_classes)
        weights = np.full(len(both), 1 / len(problem.source))
        weights[len(problem.source) :] = share / max(taken.sum(), 1)
        kept = np.concatenate([np.full(len(problem.source), True), taken])
        model = fit_softmax_regression(
            both[kept],
            np.concatenate([source_targets, calls]),
            control.penalty / (1 + share),  # of a loss whose weights sum to 1
            weights=weights[kept],
            start=model,
            tolerance=1e-7,
        )
        probabilities = model(rows)
    name = f"{PREFIXES[units]}.cbst"
    return Candidate(name, probabilities, ScaledModel(scaling, model))


def most_confident(probabilities, share):
    """Return which rows are among the most confident of their predicted class.

    Args:
        probabilities: Float array `(m, num_classes)`.
        share: Part of each predicted class, rounded up to whole rows.

    Returns:
        Bool array `(m,)`.
    """
    labels, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    taken = np.full(len(labels), False)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        best = rows[np.argsort(-confidence[rows], kind="stable")]
        taken[best[: int(np.ceil(share * len(rows)))]] = True
    return taken
