"""Features and labels as the scores take them, checked before any work."""

import numpy as np

from tftransfer.checks import check_choice
from tftransfer.methods.softmax_regression import one_hot
from tftransfer.weighting.rows import read_labels, read_rows

TASKS = ("classification", "regression")


def read_features(features):
    """Return features `(n, width)` in float64.

    Raises:
        ValueError: If they are not 2-D, have fewer than 2 rows, hold NaN or infinity,
            or are all the same.
    """
    rows = read_rows("features", features)
    if (rows == rows[0]).all():
        raise ValueError(
            "`features` must differ between rows. Received: features of shape "
            f"{rows.shape}, every row the same. Check that the backbone has weights "
            "and was given the images."
        )
    return rows


def read_classes(labels, num_rows):
    """Return classes `(num_rows,)`, numbered from 0 without gaps, and their number.

    Raises:
        ValueError: If there is not one whole number `>= 0` for each row, or only one
            class.
    """
    labels = read_labels("labels", labels, num_rows)
    names, classes = np.unique(labels, return_inverse=True)
    if len(names) < 2:
        raise ValueError(
            "`labels` must hold two classes or more. Received: labels with class "
            f"{names[0]} alone, in {num_rows} rows. Check how these rows were chosen."
        )
    return classes, len(names)


def read_numbers(labels, num_rows):
    """Return values `(num_rows, num_values)` in float64.

    Raises:
        ValueError: If there are not one or more finite numbers for each row.
    """
    labels = np.asarray(labels)
    values = labels[:, None] if labels.ndim == 1 else labels
    fits = values.ndim == 2 and len(values) == num_rows and values.size
    if not fits or values.dtype.kind not in "biuf":
        raise ValueError(
            f"`labels` must be numbers of shape ({num_rows},) or ({num_rows}, values). "
            f"Received: labels of shape {labels.shape} and dtype {labels.dtype}. "
            'Pass the values of each row, or task="classification".'
        )
    values = values.astype(np.float64)
    if not np.isfinite(values).all():
        row = int((~np.isfinite(values)).any(axis=1).argmax())
        raise ValueError(
            "`labels` must be finite. Received: labels with NaN or infinity, first in "
            f"row {row}. Drop those rows."
        )
    return values


def read_values(labels, num_rows):
    """Return values as `read_numbers`, every column of which varies.

    Raises:
        ValueError: If they are none, or a column is constant.
    """
    values = read_numbers(labels, num_rows)
    same = (values == values[0]).all(axis=0)
    if same.any():
        raise ValueError(
            "`labels` must vary. Received: labels with the same value in all rows, "
            f"{values[0, same.argmax()]:g}, in column {same.argmax()}. Drop the column."
        )
    return values


def read_columns(labels, num_rows, task):
    """Return what a linear model of the task has to give, `(num_rows, columns)`.

    Args:
        labels: Class numbers `(num_rows,)`, or for regression numbers `(num_rows,)` or
            `(num_rows, values)`.
        num_rows: Rows that there must be.
        task: One of `TASKS`.

    Returns:
        Float array: a column of zeros and ones for each class there is, or the values.

    Raises:
        ValueError: If the labels are not of this kind.
    """
    check_choice("task", task, TASKS)
    if task == "regression":
        return read_values(labels, num_rows)
    return one_hot(*read_classes(labels, num_rows))
