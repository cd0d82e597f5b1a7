"""Kernel mean matching: weights that bring two means together in a kernel space."""

import numpy as np

from tftransfer.checks import check_number, check_positive, check_whole_number
from tftransfer.weighting.kernels import gaussian_kernel, median_distance
from tftransfer.weighting.rows import LEAVE_OUT, mean_one, read_pair

_POWER_STEPS = 50
_HALVINGS = 100
_CHECK_EVERY = 10


def kmm(
    source,
    target,
    *,
    sigma=None,
    bound=1000.0,
    epsilon=None,
    tolerance=1e-3,
    most_steps=2000,
    part_rows=2000,
    seed=0,
):
    """Weigh source rows so that their mean in a kernel space is the target's.

    Put features on one scale first: the kernel sees Euclidean distances.

    Formula, for the Gaussian kernel `k(a, b) = exp(-||a - b||^2 / (2 sigma^2))`:

        minimize 1/2 w' K w - kappa' w
        K_ij = k(s_i, s_j),  kappa_i = n/m sum_j k(s_i, t_j)
        subject to 0 <= w_i <= bound,  |sum w - n| <= n epsilon

    Solved by accelerated projected gradients until the Frank-Wolfe gap, which bounds
    how far the objective is from its minimum, is `tolerance` times its size. Much
    closer, the weights pile up on fewer rows and fit the sample rather than the domain.
    They are scaled to mean 1 afterwards. More source rows than `part_rows` are split at
    random into parts that are matched one by one, each with at most as many target rows
    drawn anew, so that time grows linearly.

    Args:
        source: Float array `(n, width)`, `n >= 2`.
        target: Float array `(m, width)`, `m >= 2`.
        sigma: Width of the kernel, > 0, in feature units. `None`: the median distance,
            over both domains.
        bound: Largest weight, >= 1.
        epsilon: How far the mean weight may be from 1, >= 0. `None`:
            `(sqrt(n) - 1) / sqrt(n)`.
        tolerance: Of the objective, relative, > 0.
        most_steps: Steps after which the solver stops in any case, >= 1.
        part_rows: Most rows of a domain matched together, >= 2.
        seed: Of the random parts and draws.

    Returns:
        Float array `(n,)` with mean 1, `>= 0`: `sample_weight` for `model.fit`.

    Raises:
        TypeError: If a number is of the wrong type.
        ValueError: If rows or numbers are not of the kind above.

    Example:

    >>> from tftransfer.weighting import kmm
    >>> source = np.array([[0.0], [0.1], [5.0], [5.1]])
    >>> target = np.array([[0.0], [0.05], [0.1]])
    >>> kmm(source, target).round(1).tolist()  # the far rows have no like in the target
    [2.0, 2.0, 0.0, 0.0]

    Reference:
        [Huang et al., 2007](https://proceedings.neurips.cc/paper/2006/hash/a2186aa7c086b46ad4e8bf81e2a3a19b-Abstract.html).
    """
    source, target = read_pair(source, target)
    check_number("bound", bound, 1.0)
    check_positive("tolerance", tolerance)
    check_whole_number("most_steps", most_steps)
    check_whole_number("part_rows", part_rows, 2)
    if epsilon is not None:
        check_number("epsilon", epsilon, 0.0)
    if sigma is not None:
        check_positive("sigma", sigma, LEAVE_OUT)
    sigma = median_distance(source, target) if sigma is None else sigma
    weights, generator = np.empty(len(source)), np.random.default_rng(seed)
    for part in _parts(len(source), part_rows, generator):
        rows, count = source[part], len(part)
        slack = 1 - count**-0.5 if epsilon is None else epsilon
        goal = _parts(len(target), part_rows, generator)[0]
        kappa = count * gaussian_kernel(rows, target[goal], sigma).mean(axis=1)
        kernel = gaussian_kernel(rows, rows, sigma)
        limits = bound, count * max(0.0, 1 - slack), count * (1 + slack)
        found = match_means(kernel, kappa, limits, tolerance, most_steps)
        weights[part] = mean_one(found)
    return weights


def match_means(kernel, kappa, limits, tolerance, most_steps):
    """Minimize `w' K w / 2 - kappa' w` in a box cut by two planes.

    Args:
        kernel: Symmetric positive semi-definite array `(n, n)`.
        kappa: Array `(n,)`.
        limits: Largest weight, least and largest sum.
        tolerance: Stop at a gap of this part of the objective's size.
        most_steps: Stop there in any case.

    Returns:
        Array `(n,)` within the limits.
    """
    curvature = _largest_eigenvalue(kernel)
    weights = ahead = project(np.ones(len(kappa)), limits)
    momentum, slope = 1.0, kernel @ weights - kappa
    for step in range(most_steps):
        new = project(ahead - slope / curvature, limits)
        # Restarted where it overshoots, as O'Donoghue and Candes do.
        if (ahead - new) @ (new - weights) > 0:
            momentum = 1.0
        following = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        ahead = new + (momentum - 1) / following * (new - weights)
        weights, momentum = new, following
        slope = kernel @ ahead - kappa
        if step % _CHECK_EVERY == 0:
            own = kernel @ weights
            value = weights @ own / 2 - kappa @ weights
            if _gap(own - kappa, weights, limits) <= tolerance * abs(value):
                break
    return weights


def project(values, limits):
    """Nearest point to `values` with `0 <= w <= largest` and a sum within the limits.

    Args:
        values: Array `(n,)`.
        limits: Largest weight, least and largest sum.

    Returns:
        Array `(n,)`.
    """
    largest, least_sum, largest_sum = limits
    inside = np.clip(values, 0.0, largest)
    total = inside.sum()
    if least_sum <= total <= largest_sum:
        return inside
    wanted = least_sum if total < least_sum else largest_sum
    low, high = values.min() - largest - 1.0, values.max() + 1.0
    for _ in range(_HALVINGS):  # the sum falls as the shift grows
        shift = (low + high) / 2
        if np.clip(values - shift, 0.0, largest).sum() > wanted:
            low = shift
        else:
            high = shift
    return np.clip(values - (low + high) / 2, 0.0, largest)


def _gap(slope, weights, limits):
    """Frank-Wolfe gap: an upper bound of the objective above its minimum."""
    largest, least_sum, largest_sum = limits
    ascending = np.sort(slope)
    before = largest * np.arange(len(slope))
    most = np.where(ascending < 0, largest_sum, least_sum)
    best = np.clip(most - before, 0.0, largest)
    return slope @ weights - ascending @ best


def _largest_eigenvalue(kernel):
    """An upper estimate by power iteration, 1 % above what it finds."""
    vector = np.ones(len(kernel))
    for _ in range(_POWER_STEPS):
        vector = kernel @ (vector / np.linalg.norm(vector))
    return 1.01 * np.linalg.norm(vector)


def _parts(count, part_rows, generator):
    """Split row numbers at random into parts of at most `part_rows`."""
    if count <= part_rows:
        return [np.arange(count)]
    return np.array_split(generator.permutation(count), -(-count // part_rows))
