"""What every weighting takes: rows of two domains, checked before any work."""

import numpy as np

from tftransfer.checks import check_same_width

_FEWEST_ROWS = 2
LEAVE_OUT = "Leave it out, then it is taken from the data."


def read_pair(source, target):
    """Return the rows of both domains in float64.

    Raises:
        ValueError: If one is not 2-D, has fewer than 2 rows, holds NaN or infinity, or
            the widths differ.
    """
    source, target = read_rows("source", source), read_rows("target", target)
    check_same_width(source, target)
    return source, target


def read_rows(name, rows):
    """Return rows `(n, width)` in float64, checked as in `read_pair`."""
    rows = np.asarray(rows)
    if rows.ndim != 2 or rows.dtype.kind not in "biuf" or len(rows) < _FEWEST_ROWS:
        raise ValueError(
            f"`{name}` must be a numeric array (rows, features) with "
            f"{_FEWEST_ROWS} rows or more. Received: {name} of shape {rows.shape} and "
            f"dtype {rows.dtype}. Pass one row of features for each example."
        )
    rows = rows.astype(np.float64)
    bad = ~np.isfinite(rows).all(axis=1)
    if bad.any():
        raise ValueError(
            f"`{name}` must hold finite numbers only. Received: {name} with NaN or "
            f"infinity in {bad.sum()} rows, first in row {bad.argmax()}. "
            "Drop or fill those rows."
        )
    return rows


def read_weights(weights):
    """Return weights `(n,)` in float64, `>= 0` and not all 0.

    Raises:
        ValueError: If they are not.
    """
    weights = np.asarray(weights, dtype=np.float64)
    good = weights.ndim == 1 and len(weights) and np.isfinite(weights).all()
    if not good or weights.min() < 0 or weights.max() == 0:
        raise ValueError(
            "`weights` must be finite numbers >= 0 of shape (rows,), not all 0. "
            f"Received: weights of shape {weights.shape} with values {weights[:3]}... "
            "Pass one weight for each row."
        )
    return weights


def read_labels(name, labels, num_rows):
    """Return labels as whole numbers `(num_rows,)`.

    Raises:
        ValueError: If there is not one whole number `>= 0` for each row.
    """
    labels = np.asarray(labels)
    if labels.shape != (num_rows,) or labels.dtype.kind not in "iu" or labels.min() < 0:
        raise ValueError(
            f"`{name}` must be whole numbers >= 0 of shape ({num_rows},). Received: "
            f"{name} of shape {labels.shape} and dtype {labels.dtype}. "
            "Pass the class number of each row, counted from 0."
        )
    return labels.astype(np.int64)


def mean_one(weights):
    """Scale weights to mean 1; ones where all of them are 0."""
    mean = weights.mean()
    return weights / mean if mean > 0 else np.ones_like(weights)
