"""Directions in which rows vary most."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Components:
    """Projection onto principal components, divided by one spread for all.

    Attributes:
        mean: Float array `(width,)`.
        directions: Float array `(width, count)`, orthonormal columns, most variance
            first.
        spread: Float > 0, standard deviation of all projected entries together.
    """

    mean: np.ndarray
    directions: np.ndarray
    spread: float

    def __call__(self, rows):
        """Return rows `(k, width)` as `(k, count)`."""
        return (rows - self.mean) @ self.directions / self.spread


def find_components(rows, count):
    """Find the first principal components.

    Args:
        rows: Float array `(n, width)`.
        count: Number of components; fewer where the rows span less.

    Returns:
        `Components`.

    Example:

    >>> from tftransfer.methods.principal_components import find_components
    >>> rows = np.array([[-2.0, 0.0], [2.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    >>> np.abs(find_components(rows, 1).directions.ravel()).round(6).tolist()
    [1.0, 0.0]
    """
    mean = rows.mean(axis=0)
    centered = rows - mean
    wide = rows.shape[1] > len(rows)
    # Of the two products of the matrix with itself, the smaller.
    product = centered @ centered.T if wide else centered.T @ centered
    values, vectors = np.linalg.eigh(product)
    kept = np.flatnonzero(values[::-1] > 1e-10 * max(values[-1], 1e-300))[:count]
    directions = vectors[:, ::-1][:, kept]
    if wide:
        directions = centered.T @ directions
        directions /= np.maximum(np.linalg.norm(directions, axis=0), 1e-300)
    spread = float((centered @ directions).std()) if len(kept) else 0.0
    return Components(mean, directions, spread or 1.0)
