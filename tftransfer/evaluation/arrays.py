"""Labels and predictions as plain arrays of one form, or an error that names the row.

Everything a `Task` says about shapes and ranges is held here, before any figure is
computed.
"""

import numpy as np

MOST_SHOWN = 10  # offending values listed in an error
ROUNDING = 0.02  # float16 probabilities do not sum to one exactly


def read_labels(labels, task):
    """Bring labels to the one form that the figures of `task` are computed from.

    Args:
        labels: Numeric array. Classification: class numbers `(n,)` or `(n, 1)`, or
            one-hot rows `(n, num_classes)`. Multi-label: 0 and 1,
            `(n, num_classes)`. Regression: `(n,)` or `(n, num_classes)`.
        task: A `tftransfer.tasks.Task`.

    Returns:
        Integer array `(n,)` for classification, integer array `(n, num_classes)`
        for multi-label, float array `(n, num_classes)` for regression.

    Raises:
        TypeError: If the labels are not numbers.
        ValueError: If their shape or values do not fit the task.
    """
    labels = np.asarray(labels)
    if labels.dtype.kind not in "biuf":
        raise TypeError(
            f"`labels` must be numbers. Received: labels of dtype {labels.dtype}. "
            "Replace class names by their position in `class_names`."
        )
    if task.name == "regression":
        return _finite(_columns(labels, task, "numbers").astype(float))
    if task.name == "multi_label":
        columns = _columns(labels, task, "0 or 1")
        _refuse_values(
            columns, np.isin(columns, (0, 1)), "0 or 1", "One column a label"
        )
        return columns.astype(int)
    return _class_numbers(labels, task.num_classes)


def read_probabilities(probabilities, task):
    """Check predictions and bring them to shape `(n, num_classes)`.

    Args:
        probabilities: Float array `(n, num_classes)`; `(n,)` or `(n, 1)` is taken as
            the probability of class 1 of 2, or as the one label or value.
        task: A `tftransfer.tasks.Task`.

    Returns:
        Float array `(n, num_classes)`.

    Raises:
        ValueError: If the shape does not fit, a value is NaN or infinite, or the
            values are no probabilities although the task calls for them.
    """
    values = np.asarray(probabilities)
    values = values if values.dtype == np.float64 else values.astype(np.float32)
    values = values[:, None] if values.ndim == 1 else values
    _refuse_nonfinite(values)
    binary = task.name == "classification" and task.num_classes == 2
    if binary and values.ndim == 2 and values.shape[1] == 1:
        values = np.concatenate([1 - values, values], axis=1)
    if values.ndim != 2 or values.shape[1] != task.num_classes:
        raise ValueError(
            f"`probabilities` must have shape (rows, {task.num_classes}). "
            f"Received: probabilities.shape={np.shape(probabilities)}. "
            "Pass one row for each image, one column for each class."
        )
    if task.name != "regression":
        _refuse_logits(values, sums_to_one=task.name == "classification")
    return values


def _class_numbers(labels, num_classes):
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim == 2 and labels.shape[1] == num_classes:
        rows = np.isin(labels, (0, 1)).all(axis=1) & (labels.sum(axis=1) == 1)
        _refuse_values(labels, rows, "one-hot rows", "Soft labels have no class")
        return labels.argmax(axis=1)
    if labels.ndim != 1:
        raise ValueError(
            f"`labels` must have shape (rows,), or (rows, {num_classes}) when one-hot. "
            f"Received: labels.shape={labels.shape}. Pass one class for each row; "
            'several classes for a row are task="multi_label".'
        )
    inside = (labels >= 0) & (labels < num_classes) & (labels == np.floor(labels))
    wanted = f"whole numbers in 0..{num_classes - 1}"
    _refuse_values(
        labels, inside, wanted, f"The model has {num_classes} classes, counted from 0"
    )
    return labels.astype(int)


def _columns(labels, task, kind):
    columns = labels[:, None] if labels.ndim == 1 else labels
    if columns.ndim != 2 or columns.shape[1] != task.num_classes:
        raise ValueError(
            f"`labels` must be {kind} of shape (rows, {task.num_classes}) for task="
            f"{task.name!r}. Received: labels.shape={labels.shape}. "
            "Give each row one label for each output of the model."
        )
    return columns


def _finite(labels):
    _refuse_values(labels, np.isfinite(labels), "finite numbers", "Drop those rows")
    return labels


def _refuse_values(labels, good, wanted, advice):
    if not good.all():
        bad = np.unique(labels[~good], axis=0)
        more = f" and {len(bad) - MOST_SHOWN} more" if len(bad) > MOST_SHOWN else ""
        raise ValueError(
            f"`labels` must be {wanted}. "
            f"Received: labels={bad[:MOST_SHOWN].tolist()}{more} "
            f"(first in row {int(np.argwhere(~good)[0][0])}). {advice}."
        )


def _refuse_nonfinite(values):
    bad = ~np.isfinite(values).reshape(len(values), -1).all(axis=1)
    if bad.any():
        raise ValueError(
            "`probabilities` must be finite. "
            f"Received: NaN or infinity in {int(bad.sum())} of {len(bad)} rows "
            f"(first in row {int(bad.argmax())}). If a model gives them, its "
            "training diverged: lower the learning rate, look for NaN in its inputs."
        )


def _refuse_logits(values, sums_to_one):
    low, high = float(values.min()), float(values.max())
    sums = values.sum(axis=1)
    if sums_to_one and low >= -ROUNDING and np.abs(sums - 1).max() > ROUNDING:
        row = int(np.abs(sums - 1).argmax())
        raise ValueError(
            "`probabilities` must sum to one in each row. "
            f"Received: sum {sums[row]:.4g} in row {row}. Independent labels are "
            'task="multi_label"; outputs before softmax are not probabilities.'
        )
    if low < -ROUNDING or high > 1 + ROUNDING:
        raise ValueError(
            "`probabilities` must lie in 0..1. "
            f"Received: values from {low:.4g} to {high:.4g}. These look like logits: "
            "compile the model with from_logits=True in its loss, or apply softmax "
            "or sigmoid."
        )
