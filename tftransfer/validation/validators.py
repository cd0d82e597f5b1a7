"""Scores of a model on a target without labels, from its outputs alone.

None of them can be trusted to choose: see the page "Will adaptation help me?".
"""

import numpy as np

from tftransfer.checks import check_choice, check_positive
from tftransfer.methods.unit_rows import unit_rows
from tftransfer.validation.score_inputs import (
    read_class_numbers,
    read_losses,
    read_same_shape,
    read_score_rows,
)

HIGHER_IS_BETTER = {
    "a_distance": False,
    "agreement": True,
    "average_thresholded_confidence": True,
    "circular_validation": True,
    "class_clusters": True,
    "deep_embedded_validation": False,
    "entropy": False,
    "importance_weighted_validation": False,
    "information_maximization": True,
    "mixval": True,
    "mmd": False,
    "soft_neighborhood_density": True,
}
_BLOCK = 1000  # rows whose similarities to all others are held at a time


def entropy(probabilities):
    """Mean entropy of the predictions, in nats; lower is better.

        H = mean_x -sum_k p_k(x) log p_k(x)

    Args:
        probabilities: Float array `(n, num_classes)`, rows with sum 1.

    Returns:
        A float from 0 to `log(num_classes)`.

    Raises:
        ValueError: If `probabilities` are none.

    Example:

    >>> from tftransfer.validation.validators import entropy
    >>> print(f"{entropy([[0.5, 0.5], [1.0, 0.0]]):.4f}")  # log(2) / 2
    0.3466

    Reference:
        [Morerio et al., 2018](https://arxiv.org/abs/1711.10288).
    """
    return float(_entropies(read_score_rows("probabilities", probabilities)).mean())


def information_maximization(probabilities):
    """Entropy of the mean prediction minus mean entropy, in nats; higher is better.

        I = H(mean_x p(x)) - mean_x H(p(x))

    Sure of each row and even over the classes. Wrong to ask for where class shares of
    the target are uneven.

    Args:
        probabilities: Float array `(n, num_classes)`, rows with sum 1.

    Returns:
        A float from 0 to `log(num_classes)`.

    Raises:
        ValueError: If `probabilities` are none.

    Example:

    >>> from tftransfer.validation.validators import information_maximization
    >>> print(f"{information_maximization([[0.0, 1.0], [1.0, 0.0]]):.4f}")  # log(2)
    0.6931

    Reference:
        [Musgrave et al., 2022](https://arxiv.org/abs/2208.07360).
    """
    probabilities = read_score_rows("probabilities", probabilities)
    of_mean = _entropies(probabilities.mean(axis=0, keepdims=True))[0]
    return float(of_mean - _entropies(probabilities).mean())


def soft_neighborhood_density(rows, *, temperature=0.05):
    """How many near neighbors the predictions have; higher is better.

    Formula, with rows divided by their length:

        P_ij = exp(r_i' r_j / temperature) / sum_{k != i} exp(r_i' r_k / temperature)
        S = mean_i -sum_{j != i} P_ij log P_ij

    Highest where all rows are equal, so a collapsed model scores best.

    Args:
        rows: Float array `(n, k)`, `n >= 2`: probabilities, as in the paper, or
            features.
        temperature: > 0.

    Returns:
        A float from 0 to `log(n - 1)`.

    Raises:
        TypeError: If `temperature` is no number.
        ValueError: If an argument is not of the kind above.

    Example:

    >>> from tftransfer.validation.validators import soft_neighborhood_density
    >>> print(f"{soft_neighborhood_density(np.ones((3, 2))):.4f}")  # log(2)
    0.6931

    Reference:
        [Saito et al., 2021](https://arxiv.org/abs/2108.10860), equations 2 and 3.
    """
    rows = read_score_rows("rows", rows, sums_to_one=False, fewest=2)
    check_positive("temperature", temperature)
    rows = unit_rows(rows)
    total = 0.0
    for start in range(0, len(rows), _BLOCK):
        near = rows[start : start + _BLOCK] @ rows.T / temperature
        near[np.arange(len(near)), start + np.arange(len(near))] = -np.inf
        near = np.exp(near - near.max(axis=1, keepdims=True))
        total += _entropies(near / near.sum(axis=1, keepdims=True)).sum()
    return float(total / len(rows))


def importance_weighted_validation(losses, weights):
    """Estimate the target loss by weighted source losses; lower is better.

        R = mean_i w_i loss_i

    Args:
        losses: Finite numbers `(n,)`: loss, or 0 and 1 for right and wrong, of source
            rows that the model has not learned from.
        weights: Importance weights of these rows, `(n,)`, >= 0, for example of
            `tft.weighting.logistic_ratio`.

    Returns:
        A float in the unit of the losses.

    Raises:
        ValueError: If an argument is not of the kind above.

    Example:

    >>> from tftransfer.validation.validators import importance_weighted_validation
    >>> importance_weighted_validation([1.0, 0.0], [1.5, 0.5])
    0.75

    Reference:
        [Sugiyama et al., 2007](https://jmlr.org/papers/v8/sugiyama07a.html).
    """
    losses, weights = read_losses(losses, weights)
    return float((weights * losses).mean())


def deep_embedded_validation(losses, weights):
    """Estimate the target loss, with the scatter of the weights taken out; lower.

        R = mean(w loss) + eta mean(w) - eta,  eta = -cov(w loss, w) / var(w)

    `eta` is 0 for equal weights. As the mean of the weights should be 1, its deviation
    tells part of the error of the first term.

    Args:
        losses: See `importance_weighted_validation`; two rows or more.
        weights: See `importance_weighted_validation`, as they are estimated: scaled to
            mean 1 there is nothing left to take out.

    Returns:
        A float in the unit of the losses.

    Raises:
        ValueError: If an argument is not of the kind above.

    Example:

    >>> from tftransfer.validation.validators import deep_embedded_validation
    >>> deep_embedded_validation([1.0, 1.0, 1.0], [0.5, 1.0, 2.0])  # exact
    1.0

    Reference:
        [You et al., 2019](https://proceedings.mlr.press/v97/you19a.html), algorithm 1.
    """
    losses, weights = read_losses(losses, weights, fewest=2)
    weighted = weights * losses
    variance = weights.var(ddof=1)
    shared = np.cov(weighted, weights)[0, 1]
    eta = -shared / variance if variance > 0 else 0.0
    return float(weighted.mean() + eta * (weights.mean() - 1.0))


def agreement(probabilities, others):
    """Share of rows that two models give the same class; higher is better.

    Args:
        probabilities: Float array `(n, num_classes)` of one model.
        others: Float array `(n, num_classes)` of another one on the same rows, such as
            the control.

    Returns:
        A float from 0 to 1.

    Raises:
        ValueError: If an argument is not of the kind above.

    Example:

    >>> from tftransfer.validation.validators import agreement
    >>> agreement([[0.9, 0.1], [0.4, 0.6]], [[0.6, 0.4], [0.7, 0.3]])
    0.5

    Reference:
        [Jiang et al., 2022](https://arxiv.org/abs/2106.13799).
    """
    first, second = read_same_shape(probabilities, others)
    return float((first.argmax(axis=1) == second.argmax(axis=1)).mean())


def average_thresholded_confidence(
    source_probabilities, source_labels, target_probabilities, *, score="entropy"
):
    """Estimate the target accuracy from confidence; higher is better.

    Formula, with the confidence `s` of a row, its largest probability or its negative
    entropy: take the threshold `t` below which lie as many source rows as are wrong;

        accuracy = share of target rows with s >= t

    Args:
        source_probabilities: Float array `(n, num_classes)` of source rows that the
            model has not learned from.
        source_labels: Whole numbers `(n,)`.
        target_probabilities: Float array `(m, num_classes)`.
        score: `"entropy"` or `"confidence"`.

    Returns:
        A float from 0 to 1.

    Raises:
        ValueError: If an argument is not of the kind above.

    Example:

    >>> from tftransfer.validation import validators
    >>> source = [[0.6, 0.4], [0.8, 0.2], [0.9, 0.1], [0.7, 0.3]]  # one is wrong
    >>> target = [[0.65, 0.35], [0.95, 0.05]]
    >>> validators.average_thresholded_confidence(source, [1, 0, 0, 0], target)
    0.5

    Reference:
        [Garg et al., 2022](https://arxiv.org/abs/2201.04234).
    """
    check_choice("score", score, ("confidence", "entropy"))
    source = read_score_rows("source_probabilities", source_probabilities)
    target = read_score_rows("target_probabilities", target_probabilities)
    labels = read_class_numbers("source_labels", source_labels, *source.shape)
    num_wrong = int((source.argmax(axis=1) != labels).sum())
    ascending = np.sort(_confidence(source, score))
    threshold = ascending[num_wrong] if num_wrong < len(source) else np.inf
    return float((_confidence(target, score) >= threshold).mean())


def _confidence(probabilities, score):
    if score == "entropy":
        return -_entropies(probabilities)
    return probabilities.max(axis=1)


def _entropies(probabilities):
    """Entropies `(n,)` of rows; 0 log 0 counts as 0."""
    logs = np.log(
        probabilities, out=np.zeros_like(probabilities), where=probabilities > 0
    )
    return -(probabilities * logs).sum(axis=1)
