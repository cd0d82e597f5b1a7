"""Covariances as eigenvectors, so that wide features need no matrix of their width."""

import dataclasses

import numpy as np

_RELATIVE_ZERO = 1e-12  # of the largest eigenvalue


@dataclasses.dataclass(frozen=True)
class Spectrum:
    """Covariance `V diag(values) V' + ridge I` of rows.

    Attributes:
        mean: Float array `(width,)`.
        vectors: `V`, orthonormal columns `(width, rank)`.
        values: Float array `(rank,)`, above 0, largest first.
        ridge: Float, above 0 wherever the rank is smaller than the width.
    """

    mean: np.ndarray
    vectors: np.ndarray
    values: np.ndarray
    ridge: float

    def power(self, rows, exponent):
        """Return `rows @ covariance ** exponent`, `(k, width)`."""
        plain = self.ridge**exponent if self.ridge else 0.0
        along = (self.values + self.ridge) ** exponent - plain
        return plain * rows + (rows @ self.vectors * along) @ self.vectors.T


def spectrum_of(rows, ridge=0.0):
    """Return the `Spectrum` of rows, in float64.

    Covariances divide by `n - 1`. Of the covariance `(width, width)` and the Gram
    matrix `(n, n)` the smaller one is decomposed.

    Args:
        rows: Float array `(n, width)`, `n >= 2`.
        ridge: Added to every variance, >= 0.

    Returns:
        `Spectrum`.

    Example:

    >>> from tftransfer.methods.spectrum import spectrum_of
    >>> spectrum = spectrum_of(np.array([[0.0, 0.0], [2.0, 0.0]]), ridge=0.5)
    >>> spectrum.values.tolist(), spectrum.power(np.eye(2), 1).tolist()
    ([2.0], [[2.5, 0.0], [0.0, 0.5]])
    """
    rows = np.asarray(rows, dtype=np.float64)
    mean = rows.mean(axis=0)
    centered = (rows - mean) / np.sqrt(len(rows) - 1)
    wide = rows.shape[1] > len(rows)
    values, vectors = np.linalg.eigh(
        centered @ centered.T if wide else centered.T @ centered
    )
    kept = np.flatnonzero(values > _RELATIVE_ZERO * max(values[-1], 0.0))[::-1]
    values, vectors = values[kept], vectors[:, kept]
    if wide:
        vectors = centered.T @ (vectors / np.sqrt(values))
    return Spectrum(mean, vectors, values, float(ridge))
