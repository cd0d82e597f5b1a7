"""KLIEP: the density ratio under which the target is most likely."""

import numpy as np

from tftransfer.checks import check_positive, check_whole_number
from tftransfer.weighting.centers import choose_centers, choose_sigma, folds_of
from tftransfer.weighting.kernels import gaussian_kernel
from tftransfer.weighting.rows import LEAVE_OUT, mean_one, read_pair

_TINY = 1e-300
_TO_COMPARE = 1e-2  # nats, close enough to compare widths


def kliep(
    source,
    target,
    *,
    sigma=None,
    num_centers=100,
    tolerance=1e-3,
    most_steps=5000,
    folds=5,
    seed=0,
):
    """Weigh source rows by the density ratio that makes the target most likely.

    Put features on one scale first: the kernel sees Euclidean distances.

    Formula, with Gaussian kernels around `num_centers` target rows `c_l`:

        w(x) = sum_l a_l k(x, c_l),  k(x, c) = exp(-||x - c||^2 / (2 sigma^2))
        maximize sum_j log w(t_j)  subject to  a >= 0,  mean_i w(s_i) = 1

    With `b_l = mean_i k(s_i, c_l)` the shares `a_l b_l` are those of a mixture, found
    by expectation maximization from equal ones. It climbs at each step and stops where
    the mean log-likelihood is provably within `tolerance` of its maximum.

    Args:
        source: Float array `(n, width)`, `n >= 2`.
        target: Float array `(m, width)`, `m >= 2`.
        sigma: Width of the kernels, > 0, in feature units. `None`: the one of half to
            twice the median distance, over both domains, with the best mean
            log-likelihood on target rows left out.
        num_centers: Most kernels, >= 1.
        tolerance: Of the mean log-likelihood, in nats, > 0.
        most_steps: Steps after which the solver stops in any case, >= 1.
        folds: Parts of the target, of which each is left out once, >= 2.
        seed: Of the choice of centers and folds.

    Returns:
        Float array `(n,)` with mean 1, `>= 0`: `sample_weight` for `model.fit`.

    Raises:
        TypeError: If a number is of the wrong type.
        ValueError: If rows or numbers are not of the kind above.

    Example:

    >>> from tftransfer.weighting import kliep
    >>> source = np.array([[0.0], [0.1], [5.0], [5.1]])
    >>> target = np.array([[0.0], [0.05], [0.1]])
    >>> kliep(source, target, sigma=1.0).round(1).tolist()
    [2.0, 2.0, 0.0, 0.0]

    Reference:
        [Sugiyama et al., 2008](https://link.springer.com/article/10.1007/s10463-008-0197-x).
    """
    source, target = read_pair(source, target)
    check_positive("tolerance", tolerance)
    check_whole_number("num_centers", num_centers)
    check_whole_number("most_steps", most_steps)
    check_whole_number("folds", folds, 2)
    if sigma is not None:
        check_positive("sigma", sigma, LEAVE_OUT)
    centers = choose_centers(target, num_centers, seed)
    parts = folds_of(len(target), folds, seed)
    rough = max(tolerance, _TO_COMPARE)

    def held_out_likelihood(width):
        of_target = gaussian_kernel(target, centers, width)
        of_source = gaussian_kernel(source, centers, width).mean(axis=0)
        found = []
        for part in parts:
            kept = np.delete(of_target, part, axis=0)
            factors = fit_likelihood(kept, of_source, rough, most_steps)
            found.append(np.log(of_target[part] @ factors + _TINY))
        return np.concatenate(found).mean()

    if sigma is None:
        sigma = choose_sigma(source, target, held_out_likelihood)
    of_source = gaussian_kernel(source, centers, sigma)
    of_target = gaussian_kernel(target, centers, sigma)
    factors = fit_likelihood(of_target, of_source.mean(axis=0), tolerance, most_steps)
    return mean_one(of_source @ factors)


def fit_likelihood(of_target, of_source, tolerance, most_steps):
    """Maximize `mean log(A a)` with `a >= 0` and `b' a = 1`.

    Args:
        of_target: Kernel values `A` of target rows, `(m, centers)`.
        of_source: Mean kernel values `b` of source rows, `(centers,)`.
        tolerance: Stop where the maximum is at most this far.
        most_steps: Stop there in any case.

    Returns:
        Factors `a`, `(centers,)`.
    """
    reached = of_source > 1e-12 * of_source.max()
    if not reached.any():  # no source row is near any center
        return np.zeros(len(of_source))
    density = of_target[:, reached] / np.maximum(of_source[reached], _TINY)
    shares = np.full(reached.sum(), 1.0 / reached.sum())
    for _ in range(most_steps):
        mixture = np.maximum(density @ shares, _TINY)
        # How fast the objective grows with each share; at the maximum none exceeds 1,
        # and log(largest) is how far below the maximum it is at most.
        growth = (density / mixture[:, None]).mean(axis=0)
        if np.log(max(growth.max(), 1.0)) <= tolerance:
            break
        shares = shares * growth
        shares /= shares.sum()
    factors = np.zeros(len(of_source))
    factors[reached] = shares / np.maximum(of_source[reached], _TINY)
    return factors
