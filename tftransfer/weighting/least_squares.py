"""uLSIF: the density ratio by least squares, in closed form."""

import numpy as np

from tftransfer.checks import check_number, check_positive, check_whole_number
from tftransfer.weighting.centers import choose_centers, choose_sigma, folds_of_both
from tftransfer.weighting.kernels import gaussian_kernel
from tftransfer.weighting.rows import LEAVE_OUT, mean_one, read_pair

_PENALTIES = (1e-3, 1e-2, 1e-1, 1.0)


def ulsif(
    source, target, *, sigma=None, penalty=None, num_centers=100, folds=5, seed=0
):
    """Weigh source rows by a density ratio fitted by least squares.

    Put features on one scale first: the kernel sees Euclidean distances.

    Formula, with Gaussian kernels `phi` around `num_centers` target rows:

        w(x) = phi(x)' max(theta, 0),  theta = (H + penalty I)^-1 h
        H = mean_i phi(s_i) phi(s_i)',  h = mean_j phi(t_j)

    which minimizes `mean_i w(s_i)^2 / 2 - mean_j w(t_j)`, that is the squared distance
    to the true ratio, plus `penalty / 2 ||theta||^2`. Scaled to mean 1 afterwards.

    Args:
        source: Float array `(n, width)`, `n >= 2`.
        target: Float array `(m, width)`, `m >= 2`.
        sigma: Width of the kernels, > 0, in feature units. `None`: the one of half to
            twice the median distance, over both domains, that is best on rows left
            out.
        penalty: >= 0. `None`: from .001 to 1, the best on rows left out.
        num_centers: Most kernels, >= 1.
        folds: Parts of both domains, of which each is left out once, >= 2.
        seed: Of the choice of centers and folds.

    Returns:
        Float array `(n,)` with mean 1, `>= 0`: `sample_weight` for `model.fit`.

    Raises:
        TypeError: If a number is of the wrong type.
        ValueError: If rows or numbers are not of the kind above.

    Example:

    >>> from tftransfer.weighting import ulsif
    >>> source = np.array([[0.0], [0.1], [5.0], [5.1]])
    >>> target = np.array([[0.0], [0.05], [0.1]])
    >>> ulsif(source, target, sigma=1.0, penalty=0.1).round(1).tolist()
    [2.0, 2.0, 0.0, 0.0]

    Reference:
        [Kanamori et al., 2009](https://jmlr.org/papers/v10/kanamori09a.html).
    """
    source, target = read_pair(source, target)
    check_whole_number("num_centers", num_centers)
    check_whole_number("folds", folds, 2)
    if sigma is not None:
        check_positive("sigma", sigma, LEAVE_OUT)
    if penalty is not None:
        check_number("penalty", penalty, 0.0)
    centers = choose_centers(target, num_centers, seed)
    parts = folds_of_both(len(source), len(target), folds, seed)
    penalties = _PENALTIES if penalty is None else (penalty,)

    def kernels(width):
        return (
            gaussian_kernel(source, centers, width),
            gaussian_kernel(target, centers, width),
        )

    def held_out(width):
        both = kernels(width)
        return [-_loss_left_out(both, one, parts) for one in penalties]

    if sigma is None:
        sigma = choose_sigma(source, target, lambda width: max(held_out(width)))
    if penalty is None:
        penalty = penalties[int(np.argmax(held_out(sigma)))]
    of_source, of_target = kernels(sigma)
    return mean_one(of_source @ fit_ratio(of_source, of_target, penalty))


def fit_ratio(of_source, of_target, penalty):
    """Return the factors `max((H + penalty I)^-1 h, 0)` of the formula of `ulsif`.

    Args:
        of_source: Kernel values of source rows, `(n, centers)`.
        of_target: Kernel values of target rows, `(m, centers)`.
        penalty: A number `>= 0`.

    Returns:
        Array `(centers,)`.
    """
    moments = of_source.T @ of_source / len(of_source)
    moments[np.diag_indices_from(moments)] += penalty
    # Centers may coincide; without a penalty the shortest solution is taken then.
    solution = np.linalg.lstsq(moments, of_target.mean(axis=0), rcond=None)[0]
    return np.maximum(solution, 0.0)


def _loss_left_out(kernels, penalty, parts):
    of_source, of_target = kernels
    losses = []
    for source_part, target_part in parts:
        theta = fit_ratio(
            np.delete(of_source, source_part, axis=0),
            np.delete(of_target, target_part, axis=0),
            penalty,
        )
        of_held = (of_source[source_part] @ theta) ** 2
        losses.append(of_held.mean() / 2 - (of_target[target_part] @ theta).mean())
    return np.mean(losses)
