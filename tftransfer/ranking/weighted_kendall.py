"""Weighted Kendall's tau: whether a ranking gets the best ones right."""

import numpy as np


def weighted_kendall(scores, accuracies):
    """Agreement of two rankings, where the top counts most; higher is better.

    Formula, over pairs, with the rank `r` of each by (scores, accuracies), from 0 for
    the highest, and weights `w_ij = 1 / (r_i + 1) + 1 / (r_j + 1)`:

        <x, y> = sum_{i < j} w_ij sign(x_i - x_j) sign(y_i - y_j)
        tau = <x, y> / sqrt(<x, x> <y, y>)

    and the mean of that and of the same with ranks by (accuracies, scores).

    Args:
        scores: Finite numbers `(n,)`, `n >= 2`.
        accuracies: Finite numbers `(n,)`.

    Returns:
        A float from -1 to 1; NaN where all of one are equal.

    Raises:
        ValueError: If the two are not of the kind above.

    Example:

    >>> round(tft.ranking.weighted_kendall([1, 2, 3, 4], [0.6, 0.5, 0.8, 0.9]), 4)
    0.8133

    Reference:
        [Vigna, 2015](https://arxiv.org/abs/1404.3325), with additive hyperbolic
        weights, as in `scipy.stats.weightedtau`.
    """
    scores, accuracies = _read_pair(scores, accuracies)
    one_way = _tau(scores, accuracies, _ranks(scores, accuracies))
    return float((one_way + _tau(scores, accuracies, _ranks(accuracies, scores))) / 2)


def _ranks(first, second):
    """Rank from the highest; ties by `second`, then the later one first."""
    ranks = np.empty(len(first))
    ranks[np.lexsort((second, first))[::-1]] = np.arange(len(first))
    return ranks


def _tau(scores, accuracies, ranks):
    weights = 1 / (ranks + 1)
    weights = weights[:, None] + weights
    np.fill_diagonal(weights, 0)
    first, second = (np.sign(x[:, None] - x) for x in (scores, accuracies))
    both = (weights * first * second).sum()
    lengths = (weights * first**2).sum() * (weights * second**2).sum()
    return both / np.sqrt(lengths) if lengths > 0 else np.nan


def _read_pair(scores, accuracies):
    named = {"scores": np.asarray(scores), "accuracies": np.asarray(accuracies)}
    shapes = [values.shape for values in named.values()]
    if shapes[0] != shapes[1] or len(shapes[0]) != 1 or shapes[0][0] < 2:
        raise ValueError(
            "`scores` and `accuracies` must be a number each for 2 things or more. "
            f"Received: shapes {shapes[0]} and {shapes[1]}. Pass both in one order."
        )
    for name, values in named.items():
        if values.dtype.kind not in "biuf" or not np.isfinite(values).all():
            raise ValueError(
                f"`{name}` must be finite numbers. Received: {name}="
                f"{values.tolist()}. Leave out what has no figure, in both."
            )
    return [values.astype(float) for values in named.values()]
