"""TrAdaBoost: old rows lose weight where they contradict the few new labels."""

import dataclasses
from collections.abc import Callable

import numpy as np

from tftransfer.checks import check_whole_number
from tftransfer.weighting.logistic import fit_logistic
from tftransfer.weighting.rows import mean_one, read_labels, read_pair

_LEAST_ERROR, _LARGEST_ERROR = 1e-6, 0.499
_PENALTY, _TOLERANCE = 1.0, 1e-4  # scikit-learn's own


@dataclasses.dataclass(frozen=True)
class Boosted:
    """What `tradaboost` found.

    Attributes:
        source_weights: Final weights `(n,)` of source rows, mean 1: `sample_weight`.
        target_weights: Final weights `(m,)` of labeled target rows, on the same scale.
        errors: Weighted error on the labeled target rows in each round.
        predict: Function from rows `(k, width)` to the share of votes for each class,
            `(k, num_classes)`, each row with sum 1.
    """

    source_weights: np.ndarray
    target_weights: np.ndarray
    errors: list
    predict: Callable


def tradaboost(source, source_labels, target, target_labels, *, rounds=10, fit=None):
    """Boost on many source labels and some target labels.

    A target row that is wrong gains weight, as in AdaBoost; a source row that is wrong
    loses weight: it contradicts the target.

    Formula, in each of `N` rounds, with `wrong` 0 or 1 for each row:

        e = sum_target w wrong / sum_target w,  b_t = e / (1 - e)
        source: w <- w b^wrong,  b = 1 / (1 + sqrt(2 ln n / N))
        target: w <- w b_t^-wrong

    Classifiers of the second half of the rounds vote with `log(1 / b_t)` each. `e` is
    kept within 1e-6 and 0.499: below one half as the paper demands, so that a round
    that is worse counts next to nothing. Several classes vote in the same way; the
    paper has two.

    Args:
        source: Float array `(n, width)`, `n >= 2`, features on one scale.
        source_labels: Whole numbers `(n,)` from 0.
        target: Float array `(m, width)`, `m >= 2`.
        target_labels: Whole numbers `(m,)` from 0.
        rounds: Number of classifiers, >= 1.
        fit: Function `(rows, labels, weights)`, weights of mean 1, that returns a
            function from rows to class numbers. `None`: logistic regression of
            scikit-learn.

    Returns:
        A `Boosted`.

    Raises:
        ImportError: If `fit` is `None` and scikit-learn is missing.
        TypeError: If `rounds` is no whole number.
        ValueError: If rows or labels are not of the kind above.

    Example:

    >>> from tftransfer.weighting import tradaboost
    >>> source = np.array([[-2.0], [-1.0], [1.0], [2.0]])
    >>> target = np.array([[-1.0], [0.5], [1.5], [3.0]])
    >>> boosted = tradaboost(source, [0, 0, 1, 1], target, [0, 0, 1, 1])
    >>> boosted.predict(target).argmax(axis=1).tolist()
    [0, 0, 1, 1]

    Reference:
        [Dai et al., 2007](https://dl.acm.org/doi/10.1145/1273496.1273521), algorithm 1.
    """
    source, target = read_pair(source, target)
    labels = np.concatenate(
        [
            read_labels("source_labels", source_labels, len(source)),
            read_labels("target_labels", target_labels, len(target)),
        ]
    )
    check_whole_number("rounds", rounds)
    if len(np.unique(labels)) < 2:
        raise ValueError(
            "`source_labels` and `target_labels` must name two classes or more. "
            f"Received: only class {labels[0]}. Add rows of another class."
        )
    fit = _fit_logistic if fit is None else fit
    rows, size = np.concatenate([source, target]), len(source)
    forget = 1 / (1 + np.sqrt(2 * np.log(size) / rounds))
    weights, errors, voters = np.ones(len(rows)), [], []
    for _ in range(rounds):
        weights = mean_one(weights)
        classify = fit(rows, labels, weights)
        wrong = np.asarray(classify(rows)) != labels
        error = np.average(wrong[size:], weights=weights[size:])
        errors.append(float(error))
        error = np.clip(error, _LEAST_ERROR, _LARGEST_ERROR)
        ratio = error / (1 - error)
        voters.append((classify, -np.log(ratio)))
        weights[:size] *= forget ** wrong[:size]
        weights[size:] *= ratio ** -wrong[size:].astype(float)
    scale = weights[:size].mean()
    votes = _Votes(voters[rounds // 2 :], int(labels.max()) + 1)
    return Boosted(weights[:size] / scale, weights[size:] / scale, errors, votes)


@dataclasses.dataclass(frozen=True)
class _Votes:
    voters: list
    num_classes: int

    def __call__(self, rows):
        rows, classes = np.asarray(rows, dtype=np.float64), np.arange(self.num_classes)
        shares = sum(
            weight * (np.asarray(classify(rows))[:, None] == classes)
            for classify, weight in self.voters
        )
        return shares / sum(weight for _, weight in self.voters)


def _fit_logistic(rows, labels, weights):
    # The votes are weighted by how good it came out.
    return fit_logistic(rows, labels, weights, _PENALTY, tolerance=_TOLERANCE).predict
