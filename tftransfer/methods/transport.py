"""Linear optimal transport: the cheapest map from one Gaussian to another."""

import dataclasses

import numpy as np

from tftransfer.checks import check_positive, check_same_width
from tftransfer.methods.refitting import refit_in
from tftransfer.methods.spectrum import spectrum_of


@dataclasses.dataclass(frozen=True)
class TransportMap:
    """What `transport_map` found; call it with rows of the source.

    Attributes:
        source_mean: Float array `(width,)`.
        target_mean: Float array `(width,)`.
        basis: Orthonormal columns `(width, rank)` outside of which nothing but the
            mean moves, or `None` for all of the space.
        matrix: `A - I` within the basis, symmetric, `(rank, rank)`.
    """

    source_mean: np.ndarray
    target_mean: np.ndarray
    basis: np.ndarray | None
    matrix: np.ndarray

    def __call__(self, rows):
        """Return rows `(k, width)` where the map takes them."""
        centered = rows - self.source_mean
        within = centered if self.basis is None else centered @ self.basis
        moved = within @ self.matrix
        moved = moved if self.basis is None else moved @ self.basis.T
        return self.target_mean + centered + moved


def transport_map(source, target, *, ridge=0.1):
    """Map the source onto the target with the least mean squared way, both Gaussian.

    Of all maps that give the source the target's mean and covariance it moves rows
    least, so classes are turned into one another less than by `coral_map`.

    Formula, with `C = cov + ridge I` of each domain:

        x -> (x - mean_s) A + mean_t
        A = C_s^(-1/2) (C_s^(1/2) C_t C_s^(1/2))^(1/2) C_s^(-1/2)

    For features wider than all rows together it is computed in the space of the rows;
    outside of it both covariances are `ridge I` and `A = I`.

    Args:
        source: Float array `(n, width)`, `n >= 2`.
        target: Float array `(m, width)`, `m >= 2`.
        ridge: Added to every variance, > 0.

    Returns:
        `TransportMap`, a function of source rows.

    Raises:
        TypeError: If `ridge` is no number.
        ValueError: If the widths differ or `ridge` is not above 0.

    Example:

    >>> from tftransfer.methods.transport import transport_map
    >>> source = np.array([[0.0], [2.0], [4.0]])  # variance 4
    >>> target = np.array([[9.0], [10.0], [11.0]])  # variance 1
    >>> transport_map(source, target, ridge=1e-9)(source).round(3).ravel().tolist()
    [9.0, 10.0, 11.0]

    Reference:
        [Knott & Smith, 1984](https://doi.org/10.1007/BF00934745);
        [Peyre & Cuturi, 2019](https://arxiv.org/abs/1803.00567), chapter 2.
    """
    check_same_width(source, target)
    check_positive("ridge", ridge)
    both = spectrum_of(source, ridge), spectrum_of(target, ridge)
    vectors = np.concatenate([each.vectors for each in both], axis=1)
    basis = None
    if vectors.shape[1] < len(vectors):
        basis = np.linalg.qr(vectors)[0]
    within = np.eye(len(vectors)) if basis is None else basis
    of_source, of_target = (each.power(within.T, 1) @ within for each in both)
    root, inverse = _power(of_source, 0.5), _power(of_source, -0.5)
    matrix = inverse @ _power(root @ of_target @ root, 0.5) @ inverse
    matrix[np.diag_indices_from(matrix)] -= 1.0
    return TransportMap(both[0].mean, both[1].mean, basis, matrix)


def linear_transport(problem, control, *, units="target", ridge=0.1):
    """Refit the control on source rows moved by `transport_map`.

    Args:
        problem: `Problem`.
        control: `Control`.
        units: How target rows are scaled, `"source"` or `"target"`.
        ridge: See `transport_map`; variances are near 1 here.

    Returns:
        `Candidate` named `"S.linear_ot"` or `"D.linear_ot"`.

    Raises:
        ValueError: If `units` is something else.
    """

    def describe(source, target):
        return transport_map(source, target, ridge=ridge), None

    return refit_in("linear_ot", problem, control, describe, units=units)


def _power(matrix, exponent):
    """Power of a symmetric positive definite matrix."""
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    least = np.finfo(np.float64).eps * values[-1]
    return (vectors * np.maximum(values, least) ** exponent) @ vectors.T
