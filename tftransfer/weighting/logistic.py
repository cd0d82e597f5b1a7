"""Density ratio from a classifier that tells the domains apart."""

import warnings

import numpy as np

from tftransfer.checks import (
    check_number,
    check_positive,
    check_whole_number,
    import_optional,
)
from tftransfer.weighting.centers import folds_of_both
from tftransfer.weighting.rows import LEAVE_OUT, mean_one, read_pair

_PENALTIES = (10.0, 1.0, 0.1, 0.01, 0.001)
_MOST_STEPS, _TOLERANCE = 300, 1e-5


def logistic_ratio(
    source, target, *, penalty=None, folds=5, bound=1000.0, normalize=True, seed=0
):
    """Weigh source rows by the odds of being taken for a target row.

    The classifier that weighs a row has not seen it: otherwise rows with more features
    than there are rows would all be told apart, and no weight would mean anything.

    Formula, for a logistic regression on both domains, each with total weight 1/2, with
    `penalty / 2 ||v||^2` added to its mean loss, on features that are divided by their
    spread over both domains:

        w(x) = p(target | x) / p(source | x) = exp(v' x + c)

    Args:
        source: Float array `(n, width)`, `n >= 2`.
        target: Float array `(m, width)`, `m >= 2`.
        penalty: > 0. `None`: from 10 down by factors of 10 to .001, until the domains
            are told apart less well on rows left out.
        folds: Parts of both domains, of which each is left out once, >= 2.
        bound: Largest ratio, >= 1; its inverse is the smallest.
        normalize: Whether to scale to mean 1. The ratio itself only comes near it;
            `deep_embedded_validation` wants to see by how much.
        seed: Of the folds.

    Returns:
        Float array `(n,)` with mean 1, above 0: `sample_weight` for `model.fit`.

    Raises:
        ImportError: If scikit-learn is missing.
        TypeError: If a number is of the wrong type.
        ValueError: If rows or numbers are not of the kind above.

    Example:

    >>> from tftransfer.weighting import logistic_ratio
    >>> source = np.linspace(0.0, 4.0, 9)[:, None]
    >>> weights = logistic_ratio(source, source + 1.0)
    >>> bool(weights[-1] > weights[0])  # the target lies higher
    True

    Reference:
        [Bickel et al., 2009](https://jmlr.org/papers/v10/bickel09a.html).
    """
    source, target = read_pair(source, target)
    if penalty is not None:
        check_positive("penalty", penalty, LEAVE_OUT)
    check_whole_number("folds", folds, 2)
    check_number("bound", bound, 1.0)
    source, target = _on_one_scale(source, target)
    parts = folds_of_both(len(source), len(target), folds, seed)
    best, least = np.zeros(len(source)), np.inf
    for one in _PENALTIES if penalty is None else (penalty,):
        of_source, of_target = left_out_odds(source, target, one, parts)
        loss = np.logaddexp(0, of_source).mean() + np.logaddexp(0, -of_target).mean()
        if loss >= least:
            break
        best, least = of_source, loss
    most = np.log(bound)
    ratio = np.exp(np.clip(best, -most, most))
    return mean_one(ratio) if normalize else ratio


def _on_one_scale(source, target):
    both = np.concatenate([source, target])
    mean, spread = both.mean(axis=0), both.std(axis=0)
    spread[spread == 0] = 1.0
    return (source - mean) / spread, (target - mean) / spread


def left_out_odds(source, target, penalty, parts):
    """Return log-odds of the target for all rows, each of a model that has not seen it.

    Args:
        source: Float array `(n, width)`.
        target: Float array `(m, width)`.
        penalty: > 0.
        parts: Pairs of index arrays of both domains, as of `folds_of_both`.

    Returns:
        Float arrays `(n,)` and `(m,)`.

    Raises:
        ImportError: If scikit-learn is missing.
    """
    of_source, of_target = np.zeros(len(source)), np.zeros(len(target))
    for source_part, target_part in parts:
        left = np.delete(source, source_part, 0), np.delete(target, target_part, 0)
        odds = fit_odds(*left, penalty)
        of_source[source_part] = odds(source[source_part])
        of_target[target_part] = odds(target[target_part])
    return of_source, of_target


def fit_odds(source, target, penalty):
    """Fit the classifier of `logistic_ratio`.

    Args:
        source: Float array `(n, width)`.
        target: Float array `(m, width)`.
        penalty: > 0.

    Returns:
        Function from rows `(k, width)` to log-odds of the target `(k,)`, for domains
        that count alike.

    Raises:
        ImportError: If scikit-learn is missing.
    """
    rows = np.concatenate([source, target])
    is_target = np.repeat([0, 1], [len(source), len(target)])
    # scikit-learn minimizes ||v||^2 / 2 + C sum w_i loss_i; these weights sum to 1.
    weights = np.repeat(
        [0.5 / len(source), 0.5 / len(target)], [*map(len, (source, target))]
    )
    model = fit_logistic(rows, is_target, weights, penalty, tolerance=_TOLERANCE)
    return model.decision_function


def fit_logistic(rows, labels, weights, penalty, *, tolerance):
    """Fit logistic regression, in silence where 300 steps do not reach the end.

    Whoever calls judges how good it is on other rows.

    Args:
        rows: Float array `(n, width)`.
        labels: Array `(n,)` of classes.
        weights: Float array `(n,)`, `>= 0`, not scaled here: the larger their sum, the
            less the penalty counts.
        penalty: > 0; `penalty / 2 ||v||^2` is added to the sum of weighted losses.
        tolerance: Largest entry of the gradient that counts as the end.

    Returns:
        A fitted `sklearn.linear_model.LogisticRegression`.

    Raises:
        ImportError: If scikit-learn is missing.
    """
    linear_model, exceptions = import_optional(
        "sklearn.linear_model",
        "sklearn.exceptions",
        needs="Telling domains apart needs scikit-learn",
        extra="demo",
    )
    model = linear_model.LogisticRegression(
        C=1 / penalty, max_iter=_MOST_STEPS, tol=tolerance
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", exceptions.ConvergenceWarning)
        return model.fit(rows, labels, sample_weight=weights)
