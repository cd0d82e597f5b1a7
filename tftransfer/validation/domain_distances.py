"""How far apart two domains are in a model's features, as numbers."""

import numpy as np

from tftransfer.checks import check_positive, check_whole_number
from tftransfer.weighting.centers import folds_of_both
from tftransfer.weighting.kernels import gaussian_kernel, median_distance
from tftransfer.weighting.logistic import left_out_odds
from tftransfer.weighting.rows import read_pair

_MOST_ROWS = 2000


def a_distance(source, target, *, penalty=0.1, folds=3, seed=0):
    """How well a linear classifier tells the domains apart; lower is nearer.

        d = 2 (1 - 2 e)

    with `e` the mean of both domains' shares of rows that a logistic regression fitted
    on other rows takes for the other domain, at most one half.

    Args:
        source: Float array `(n, width)`, `n >= 2`.
        target: Float array `(m, width)`, `m >= 2`.
        penalty: > 0, on features divided by their spread.
        folds: Parts of both domains, each left out once, >= 2.
        seed: Of the folds.

    Returns:
        A float from 0, which cannot be told apart, to 2.

    Raises:
        ImportError: If scikit-learn is missing.
        TypeError: If a number is of the wrong type.
        ValueError: If an argument is not of the kind above.

    Example:

    >>> from tftransfer.validation.domain_distances import a_distance
    >>> rows = np.linspace(0.0, 1.0, 30)[:, None]
    >>> a_distance(rows, rows + 5)
    2.0

    Reference:
        [Ben-David et al., 2007](https://proceedings.neurips.cc/paper/2006/hash/b1b0432ceafb0ce714426e9114852ac7-Abstract.html).
    """
    source, target = read_pair(source, target)
    check_positive("penalty", penalty)
    check_whole_number("folds", folds, 2)
    spread = np.concatenate([source, target]).std(axis=0)
    spread[spread == 0] = 1.0
    center = target.mean(axis=0)
    source, target = (source - center) / spread, (target - center) / spread
    parts = folds_of_both(len(source), len(target), folds, seed)
    of_source, of_target = left_out_odds(source, target, penalty, parts)
    # Odds of exactly one count half: constant features cannot be told apart.
    wrong = (1 + np.sign(of_source)) / 2, (1 - np.sign(of_target)) / 2
    error = min((wrong[0].mean() + wrong[1].mean()) / 2, 0.5)
    return float(2 * (1 - 2 * error))


def mmd(source, target, *, sigma=None, seed=0):
    """Squared maximum mean discrepancy with one Gaussian kernel; lower is nearer.

        d = mean k(s, s') + mean k(t, t') - 2 mean k(s, t)

    with `k(a, b) = exp(-||a - b||^2 / (2 sigma^2))` and the diagonals kept: the biased
    estimate of `tft.mmd_loss` with `bandwidths=(sigma,)`.

    Args:
        source: Float array `(n, width)`, `n >= 2`.
        target: Float array `(m, width)`, `m >= 2`. Of more than 2,000 rows of a domain
            that many are drawn.
        sigma: > 0, in feature units. `None`: the median distance, over both domains.
            Give one where figures of several models are compared.
        seed: Of the rows drawn.

    Returns:
        A float from 0 to 2.

    Raises:
        TypeError: If `sigma` is no number.
        ValueError: If an argument is not of the kind above.

    Example:

    >>> from tftransfer.validation.domain_distances import mmd
    >>> source, target = np.zeros((2, 1)), np.full((2, 1), 2.0)
    >>> print(f"{mmd(source, target, sigma=1.0):.4f}")  # 2 - 2 exp(-2)
    1.7293

    Reference:
        [Gretton et al., 2012](https://jmlr.org/papers/v13/gretton12a.html), equation 5.
    """
    source, target = read_pair(source, target)
    if sigma is not None:
        check_positive("sigma", sigma)
    generator = np.random.default_rng(seed)
    source, target = (
        rows if len(rows) <= _MOST_ROWS else generator.permutation(rows)[:_MOST_ROWS]
        for rows in (source, target)
    )
    sigma = median_distance(source, target) if sigma is None else sigma
    within = sum(gaussian_kernel(rows, rows, sigma).mean() for rows in (source, target))
    across = gaussian_kernel(source, target, sigma).mean()
    return float(max(within - 2 * across, 0.0))
