"""Singular values of features from the smaller of their two Gram matrices."""

import numpy as np


def decompose(rows):
    """Find the directions in which rows vary about the origin, and how much.

        X = U S V',  from the eigenvectors of X'X, or of XX' where that is smaller

    Takes one product of matrices and one eigenvalue problem of the smaller side, a
    fraction of what the singular values of `X` itself take. Directions whose square is
    below rounding, `max(n, width)` times `2e-16` of the largest, are left out.

    Args:
        rows: Float64 array `(n, width)`, not all zero.

    Returns:
        Squared singular values `(rank,)`, ascending, and the columns of `V`,
        `(width, rank)`.

    Example:

    >>> from tftransfer.ranking.decomposition import decompose
    >>> squares, directions = decompose(np.array([[3.0, 0.0], [4.0, 0.0]]))
    >>> squares.tolist(), np.abs(directions).tolist()
    ([25.0], [[1.0], [0.0]])
    """
    count, width = rows.shape
    is_tall = count >= width
    # NumPy halves the work where a matrix meets its own transpose.
    squares, vectors = np.linalg.eigh(rows.T @ rows if is_tall else rows @ rows.T)
    kept = squares > squares[-1] * max(count, width) * np.finfo(float).eps
    squares, vectors = squares[kept], vectors[:, kept]
    if not is_tall:
        vectors = rows.T @ (vectors / np.sqrt(squares))
    return squares, vectors


def squared_coordinates(rows, columns, squares, directions):
    """Return the squares of `U' columns`, `(rank, columns)`: see `decompose`."""
    return np.square(directions.T @ (rows.T @ columns)) / squares[:, None]
