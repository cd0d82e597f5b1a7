"""What label-free scores are computed from, checked."""

import numpy as np

_ROUNDING = 1e-2  # float16 probabilities do not sum to one exactly


def read_score_rows(name, rows, *, sums_to_one=True, fewest=1):
    """Return rows `(n, k)` in float64.

    Args:
        name: Of the argument, for the error.
        rows: Numeric array.
        sums_to_one: Whether they must be probabilities.
        fewest: Rows that there must be.

    Returns:
        Float array `(n, k)`; probabilities with sum 1.

    Raises:
        ValueError: If there are fewer rows, or they are not finite, or no
            probabilities.
    """
    rows = np.asarray(rows)
    numeric = rows.ndim == 2 and rows.dtype.kind in "biuf" and len(rows) >= fewest
    if not numeric or not np.isfinite(rows).all():
        raise ValueError(
            f"`{name}` must be finite numbers of shape (rows, columns) with {fewest} "
            f"rows or more. Received: {name} of shape {rows.shape} and dtype "
            f"{rows.dtype}. Pass one row for each example, without NaN."
        )
    rows = rows.astype(np.float64)
    if not sums_to_one:
        return rows
    total = rows.sum(axis=1, keepdims=True)
    if rows.min() < 0 or np.abs(total - 1).max() > _ROUNDING:
        raise ValueError(
            f"`{name}` must be >= 0 with sum 1 in each row. Received: {name} from "
            f"{rows.min():.3g} to {rows.max():.3g}, sums from {total.min():.3g} to "
            f"{total.max():.3g}. Put logits through softmax first."
        )
    return rows / total


def read_same_shape(probabilities, others):
    """Return two arrays of probabilities of one shape.

    Raises:
        ValueError: If the shapes differ, or one holds no probabilities.
    """
    first = read_score_rows("probabilities", probabilities)
    second = read_score_rows("others", others)
    if first.shape != second.shape:
        raise ValueError(
            "`probabilities` and `others` must have one shape. Received: shapes "
            f"{first.shape} and {second.shape}. Predict the same rows with both models."
        )
    return first, second


def read_losses(losses, weights, *, fewest=1):
    """Return losses and weights, both `(n,)` in float64.

    Raises:
        ValueError: If they are not finite, not equally many, or a weight is below 0.
    """
    losses, weights = np.asarray(losses, float), np.asarray(weights, float)
    shapes_fit = losses.ndim == 1 and losses.shape == weights.shape
    if not shapes_fit or len(losses) < fewest:
        raise ValueError(
            f"`losses` and `weights` must be a number each for {fewest} rows or more. "
            f"Received: shapes {losses.shape} and {weights.shape}. "
            "Pass both for the same rows."
        )
    if (
        not np.isfinite(losses).all()
        or not (np.isfinite(weights) & (weights >= 0)).all()
    ):
        raise ValueError(
            "`losses` must be finite, and `weights` finite and >= 0. Received: losses "
            f"from {losses.min()} to {losses.max()}, weights from {weights.min()} to "
            f"{weights.max()}. Leave out rows without a loss."
        )
    return losses, weights


def read_class_numbers(name, labels, num_rows, num_classes):
    """Return whole numbers `(num_rows,)` from 0 below `num_classes`.

    Raises:
        ValueError: If they are not.
    """
    labels = np.asarray(labels)
    whole = labels.shape == (num_rows,) and labels.dtype.kind in "iu"
    if not whole or labels.min() < 0 or labels.max() >= num_classes:
        raise ValueError(
            f"`{name}` must be {num_rows} whole numbers from 0 to {num_classes - 1}. "
            f"Received: {name} of shape {labels.shape} and dtype {labels.dtype}, from "
            f"{labels.min(initial=0)} to {labels.max(initial=0)}. "
            "Pass the class of each row."
        )
    return labels.astype(np.int64)
