"""What must hold before anything is adapted: a shift, and a control worth following."""

import numpy as np

from tftransfer.evaluation.metrics import roc_auc
from tftransfer.methods.control import deal_folds
from tftransfer.methods.principal_components import find_components
from tftransfer.methods.softmax_regression import (
    fit_softmax_regression,
    one_hot,
)

_COMPONENTS, _PENALTY, _FOLDS = 30, 0.01, 5
_FARTHEST = 5.0  # standard deviations, so that no single row decides


def domain_auc(problem):
    """Return how well a held-out row's domain can be told, as area under the curve.

    Cross-fitted logistic regression on 30 principal components of both domains in
    source units and on their squares, each domain with the same weight: 0.5 where no
    shift can be seen, 1 where the domains do not overlap. The squares see what moves
    no mean: noise, blur, less contrast.

    Args:
        problem: `Problem`.

    Returns:
        Float in 0..1, the mean over 5 folds.

    Raises:
        ImportError: If SciPy, which comes with scikit-learn, is missing.

    Example:

    >>> from tftransfer.adaptation.gates import domain_auc
    >>> from tftransfer.methods.problem import Problem
    >>> rows = np.random.default_rng(0).normal(size=(100, 3))
    >>> labels = np.arange(100) % 2
    >>> round(domain_auc(Problem(rows, labels, rows + 50, 2)), 3)
    1.0
    """
    both = np.concatenate([problem.scaled_source, problem.target_by_source])
    domains = np.repeat([0, 1], [len(problem.source), len(problem.target)])
    rows = _with_squares(find_components(both, _COMPONENTS)(both))
    weights = 1 / np.bincount(domains)[domains]
    folds = deal_folds(domains, _FOLDS, np.random.default_rng(problem.seed))
    areas = []
    for fold in range(_FOLDS):
        train = folds != fold
        model = fit_softmax_regression(
            rows[train], one_hot(domains[train], 2), _PENALTY, weights=weights[train]
        )
        scores = model(rows[~train])[:, 1]
        areas.append(roc_auc(domains[~train], scores))
    return float(np.mean(areas))


def _with_squares(rows):
    """Return rows beside their squares, all with spread 1 and none far out."""
    both = np.concatenate([rows, rows**2], axis=1)
    both = (both - both.mean(axis=0)) / np.maximum(both.std(axis=0), 1e-12)
    return np.clip(both, -_FARTHEST, _FARTHEST)


def competence(control, labels):
    """Return the balanced accuracy on held-out source rows, 0 at chance, 1 at best.

        (balanced accuracy - 1 / K) / (1 - 1 / K)

    Args:
        control: `Control` of `K` classes.
        labels: Whole numbers `(n,)`.

    Returns:
        Float, at most 1.

    Reference:
        [Cohen, 1960](https://doi.org/10.1177/001316446002000104), kappa, for classes of
        equal shares.
    """
    right = control.held_out.argmax(axis=1) == labels
    recalls = [right[labels == label].mean() for label in np.unique(labels)]
    chance = 1 / control.held_out.shape[1]
    return float((np.mean(recalls) - chance) / (1 - chance))
