"""Transfer component analysis: few directions in which the domains' means agree."""

import dataclasses

import numpy as np

from tftransfer.checks import (
    check_choice,
    check_positive,
    check_same_width,
    check_whole_number,
)
from tftransfer.methods.refitting import refit_in
from tftransfer.weighting.kernels import gaussian_kernel, median_distance

KERNELS = ("linear", "rbf")
_RELATIVE_ZERO = 1e-10  # of the largest eigenvalue


@dataclasses.dataclass(frozen=True)
class TransferComponents:
    """What `transfer_components` found; call it with rows of either domain.

    Attributes:
        rows: Rows of both domains that it was fitted on, `(N, width)`.
        weights: Float array `(N, num_components)`.
        kernel: `"linear"` or `"rbf"`.
        sigma: Width of the kernel.
    """

    rows: np.ndarray
    weights: np.ndarray
    kernel: str
    sigma: float

    def __call__(self, rows):
        """Return components `(k, num_components)` of rows `(k, width)`."""
        return kernel_matrix(rows, self.rows, self.kernel, self.sigma) @ self.weights


def kernel_matrix(rows, others, kernel, sigma):
    """Return `rows others' / width`, or Gaussian kernels of width `sigma`."""
    rows = np.asarray(rows, dtype=np.float64)
    if kernel == "linear":
        return rows @ others.T / rows.shape[1]
    return gaussian_kernel(rows, others, sigma)


def transfer_components(
    source,
    target,
    *,
    num_components=30,
    kernel="linear",
    penalty=1.0,
    sigma=None,
    most_rows=500,
    seed=0,
):
    """Find directions of much variance in which the means of the domains agree.

    Formula, with the kernel matrix `K` of source rows followed by target rows, `N` in
    all, `l = (1/n, ..., -1/m, ...)` and centering `H`:

        maximize tr(W' K H K W)  against  tr(W' (K l l' K + penalty I) W)

    by the leading eigenvectors of `(K l l' K + penalty I)^-1 K H K`, found in its
    symmetric form. Each component is scaled to variance 1 over the rows fitted on.
    Of more than `most_rows` rows of a domain that many are drawn for `K`; the others
    are placed by their kernel values with them, so that time grows linearly.

    Args:
        source: Float array `(n, width)`, `n >= 2`.
        target: Float array `(m, width)`, `m >= 2`.
        num_components: >= 1; as many as there are where that is less.
        kernel: One of `KERNELS`; `"linear"` is `a' b / width`.
        penalty: > 0.
        sigma: Width of the Gaussian kernel, > 0. `None`: the median distance of the
            rows fitted on.
        most_rows: Of each domain, >= 2.
        seed: Of the rows drawn.

    Returns:
        `TransferComponents`, a function of rows of either domain.

    Raises:
        TypeError: If a number is of the wrong type.
        ValueError: If an argument is not of the kind above, or the widths differ.

    Example:

    >>> from tftransfer.methods.tca import transfer_components
    >>> draw = np.random.default_rng(0).normal
    >>> source, target = draw(size=(40, 2)), draw(size=(30, 2)) + [0.0, 9.0]
    >>> embed = transfer_components(source, target, num_components=1, penalty=1e-3)
    >>> bool(abs(embed(source).mean() - embed(target).mean()) < 0.1)
    True

    Reference:
        [Pan et al., 2011](https://doi.org/10.1109/TNN.2010.2091281), section III.
    """
    check_same_width(source, target)
    check_whole_number("num_components", num_components)
    check_choice("kernel", kernel, KERNELS)
    check_positive("penalty", penalty)
    check_whole_number("most_rows", most_rows, 2)
    if sigma is not None:
        check_positive("sigma", sigma)
    generator = np.random.default_rng(seed)
    drawn = [_draw(rows, most_rows, generator) for rows in (source, target)]
    rows = np.concatenate(drawn).astype(np.float64)
    sigma = median_distance(*drawn) if sigma is None else float(sigma)
    weights = _components(
        kernel_matrix(rows, rows, kernel, sigma),
        np.repeat([1 / len(drawn[0]), -1 / len(drawn[1])], [*map(len, drawn)]),
        penalty,
        num_components,
    )
    return TransferComponents(rows, weights, kernel, sigma)


def tca(
    problem, control, *, units="target", kernel="linear", num_components=30, penalty=1.0
):
    """Refit the control on the components of `transfer_components`.

    Args:
        problem: `Problem`.
        control: `Control`.
        units: How target rows are scaled, `"source"` or `"target"`.
        kernel: See `transfer_components`.
        num_components: See `transfer_components`.
        penalty: See `transfer_components`.

    Returns:
        `Candidate` named `"S.tca"`, `"D.tca"`, or with `".rbf"` behind it for that
        kernel.

    Raises:
        ValueError: If `units` or `kernel` is something else.
    """

    def describe(source, target):
        embed = transfer_components(
            source,
            target,
            num_components=num_components,
            kernel=kernel,
            penalty=penalty,
            seed=problem.seed,
        )
        return embed, embed

    name = "tca" if kernel == "linear" else f"tca.{kernel}"
    return refit_in(name, problem, control, describe, units=units)


def _components(kernel, contrast, penalty, count):
    """Weights `(N, count)` of the formula of `transfer_components`."""
    apart = kernel @ contrast
    gap = apart @ apart
    # (penalty I + apart apart')^(-1/2) = (I + shrink unit unit') / sqrt(penalty)
    unit = apart / np.sqrt(gap) if gap > 0 else apart
    shrink = np.sqrt(penalty / (penalty + gap)) - 1

    def root(rows):
        return (rows + shrink * np.outer(unit, unit @ rows)) / np.sqrt(penalty)

    spread = root(kernel - kernel.mean(axis=1, keepdims=True))
    values, vectors = np.linalg.eigh(spread @ spread.T)
    kept = np.flatnonzero(values > _RELATIVE_ZERO * values[-1])[::-1][:count]
    return root(vectors[:, kept]) * np.sqrt(len(kernel) / values[kept])


def _draw(rows, count, generator):
    if len(rows) <= count:
        return rows
    return rows[np.sort(generator.choice(len(rows), count, replace=False))]
