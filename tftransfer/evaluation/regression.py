"""Figures of a regression, in NumPy, with bootstrap intervals."""

import numpy as np

NUM_RESAMPLES = 1000
RESAMPLING_SEED = 0


def regression_metrics(labels, predictions):
    """Mean absolute error, root mean squared error and R2 of each predicted value.

    Args:
        labels: Float array `(n, num_values)`.
        predictions: Float array of the same shape.

    Returns:
        Dictionary of float arrays `(num_values,)`: `mean_absolute_error` and
        `root_mean_squared_error` in the unit of the labels, `r2` (1 is perfect, 0 is
        no better than the mean label, NaN where the labels are all equal).

    Example:

    >>> figures = regression_metrics(np.array([[1.0], [3.0]]), np.array([[1.0], [4.0]]))
    >>> {name: float(value[0].round(4)) for name, value in figures.items()}
    {'mean_absolute_error': 0.5, 'root_mean_squared_error': 0.7071, 'r2': 0.5}
    """
    return _from_moments(_row_moments(labels, predictions).mean(axis=0))


def bootstrap_intervals(labels, predictions, confidence=0.95):
    """Percentile intervals of the mean of each figure over the predicted values.

    Rows are drawn with replacement `NUM_RESAMPLES` times, from a fixed seed, so that
    the same predictions always give the same interval.

    Args:
        labels: Float array `(n, num_values)`.
        predictions: Float array of the same shape.
        confidence: Chance, in 0..1, that an interval holds the true figure.

    Returns:
        Dictionary from the names of `regression_metrics` to `(low, high)`; None where
        a figure is undefined in every resample.

    Example:

    >>> labels = np.arange(6.0)[:, None]
    >>> bootstrap_intervals(labels, labels + 1)["mean_absolute_error"]
    (1.0, 1.0)

    Reference:
        Efron & Tibshirani, 1993, "An introduction to the bootstrap", chapter 13.
    """
    moments = _row_moments(labels, predictions)
    rng = np.random.default_rng(RESAMPLING_SEED)
    resampled = np.stack(
        [_resampled_mean(moments, rng) for _ in range(NUM_RESAMPLES)], axis=1
    )
    tail = (1 - confidence) / 2
    intervals = {}
    for name, values in _from_moments(resampled).items():
        defined = values.mean(axis=-1)
        defined = defined[np.isfinite(defined)]
        low_high = np.quantile(defined, [tail, 1 - tail]) if defined.size else None
        intervals[name] = None if low_high is None else tuple(low_high.tolist())
    return intervals


def _row_moments(labels, predictions):
    """Stack what every figure is a mean of: `(n, 4, num_values)`."""
    labels, predictions = np.asarray(labels, float), np.asarray(predictions, float)
    error = predictions - labels
    # Centered, so that the variance of labels far from zero keeps its digits.
    centered = np.where(np.ptp(labels, axis=0) > 0, labels - labels.mean(axis=0), 0)
    return np.stack([np.abs(error), error**2, centered, centered**2], axis=1)


def _resampled_mean(moments, rng):
    num_rows = len(moments)
    drawn = np.bincount(rng.integers(num_rows, size=num_rows), minlength=num_rows)
    return np.tensordot(drawn, moments, axes=1) / num_rows


def _from_moments(moments):
    absolute, squared, mean, mean_square = moments
    variance = mean_square - mean**2
    # Rounding leaves about 1e-16 of the second moment where all labels are equal.
    spread = np.where(variance > 1e-12 * mean_square, variance, np.nan)
    return {
        "mean_absolute_error": absolute,
        "root_mean_squared_error": np.sqrt(squared),
        "r2": 1 - squared / spread,
    }
