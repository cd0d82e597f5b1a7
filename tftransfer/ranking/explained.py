"""Share of the labels' variance that a prediction explains."""

import numpy as np


def explained_variance(values, predicted):
    """Return R^2, the mean over columns: `1 - sum (y - p)^2 / sum (y - mean y)^2`.

    Args:
        values: Float array `(n, k)`, no column constant.
        predicted: Float array `(n, k)`.

    Returns:
        A float, at most 1; 0 for the mean of the values.
    """
    wrong = np.square(values - predicted).sum(axis=0)
    spread = np.square(values - values.mean(axis=0)).sum(axis=0)
    return float(np.mean(1 - wrong / spread))
