"""Gaussian kernels between rows, and the width that fits them."""

import numpy as np

_ROWS_FOR_MEDIAN = 500  # of each domain


def squared_distances(rows, others):
    """Squared Euclidean distances `(n, m)` between rows and others."""
    center = others.mean(axis=0)  # loses no distance, keeps the difference accurate
    rows, others = rows - center, others - center
    squares = (rows**2).sum(axis=1)[:, None] + (others**2).sum(axis=1)
    return np.maximum(squares - 2.0 * rows @ others.T, 0.0)


def gaussian_kernel(rows, others, sigma):
    """`exp(-||row - other||^2 / (2 sigma^2))`, shape `(n, m)`."""
    return np.exp(squared_distances(rows, others) / (-2.0 * sigma**2))


def median_distance(source, target):
    """Median distance between different rows of both domains together.

    Over at most 500 evenly spread rows of each. 1.0 where it would be 0, as for rows
    that are all equal.
    """
    steps = [-(-len(rows) // _ROWS_FOR_MEDIAN) for rows in (source, target)]
    rows = np.concatenate([source[:: steps[0]], target[:: steps[1]]])
    distances = squared_distances(rows, rows)[np.triu_indices(len(rows), 1)]
    median = float(np.sqrt(np.median(distances)))
    return median if median > 0.0 else 1.0
