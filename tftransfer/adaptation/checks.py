"""What is refused before anything is fitted, and what is only told."""

import numpy as np

from tftransfer.methods.softmax_regression import import_scipy

LEAST_TARGET_ROWS = 20
_MOST_NAMED = 5


def read_features(name, features):
    """Return features as a float64 array, or a sparse matrix as it is.

    Args:
        name: What the argument is called, for messages.
        features: Array-like or SciPy sparse, `(rows, width)`, numbers.

    Returns:
        Float64 array, or `scipy.sparse.csr_array` of float64.

    Raises:
        TypeError: If the entries are no numbers.
        ValueError: If it is not two-dimensional, or holds NaN or infinite entries.
    """
    sparse = import_scipy("sparse")
    is_sparse = sparse.issparse(features)
    try:
        if is_sparse:
            rows = sparse.csr_array(features, dtype="float64")
        else:
            rows = np.asarray(features, "float64")
    except (TypeError, ValueError):
        raise TypeError(
            f"`{name}` must hold numbers in rows of one width. Received: "
            f"{name} of type {type(features).__name__}. Turn texts, images or "
            "categories into features first."
        ) from None
    if rows.ndim != 2 or 0 in rows.shape:
        raise ValueError(
            f"`{name}` must have shape (rows, width). Received: "
            f"{name}.shape={rows.shape}. Give one row of features for each example."
        )
    _check_finite(name, rows.tocoo() if is_sparse else rows)
    return rows


def check_widths(source, other, name="source_features", other_name="target_features"):
    """Raise `ValueError` unless two domains have features of the same width."""
    if source.shape[1] != other.shape[1]:
        raise ValueError(
            f"`{name}` and `{other_name}` must have the same width. "
            f"Received: {name}.shape={source.shape}, {other_name}.shape={other.shape}. "
            "Compute both with the same backbone, vocabulary or columns."
        )


def check_target_rows(target):
    """Raise `ValueError` unless the target has rows enough to say anything."""
    if target.shape[0] < LEAST_TARGET_ROWS:
        raise ValueError(
            f"`target_features` must have at least {LEAST_TARGET_ROWS} rows. Received: "
            f"target_features.shape={target.shape}. Gather more rows from where the "
            "model will work; they need no labels."
        )


def read_labels(labels, num_rows):
    """Return the classes in order and the place of each label among them.

    Args:
        labels: Sequence `(num_rows,)` of hashable values.
        num_rows: Number of source rows.

    Returns:
        Array of classes `(num_classes,)`, sorted where they can be, and whole numbers
        `(num_rows,)`.

    Raises:
        ValueError: If the labels differ in number from the rows, are in several
            columns, some are missing (None, NaN, or -1 among other classes than 1),
            or there is only one class.
    """
    values = np.asarray(labels)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1 or len(values) != num_rows:
        raise ValueError(
            "`source_labels` must have one label for each of the "
            f"{num_rows} source rows. Received: source_labels.shape={values.shape}. "
            "Give class names or numbers, not one column for each class."
        )
    values = values.tolist()
    _check_labeled(values)
    classes = _in_order(set(values))
    if len(classes) < 2:
        raise ValueError(
            "`source_labels` must name at least two classes. Received: "
            f"source_labels with only {classes[0]!r}. Add rows of another class."
        )
    place = {label: number for number, label in enumerate(classes)}
    return _as_array(classes), np.array([place[label] for label in values])


def check_same_classes(source_classes, target_classes):
    """Return classes that the target lacks; raise where it has others.

    Args:
        source_classes: Sequence of class names.
        target_classes: Sequence of class names, in any order.

    Returns:
        List of classes of the source, in order, that the target does not name.

    Raises:
        ValueError: If the target names a class that the source does not have, which no
            model of the source can call.
    """
    only_source = _in_order(set(source_classes) - set(target_classes))
    only_target = _in_order(set(target_classes) - set(source_classes))
    if only_target:
        raise ValueError(
            "`source` and `target` must have the same classes. Received: only in "
            f"source={only_source}, only in target={only_target}. Rename or merge "
            "classes, or leave rows of others out of the target."
        )
    return only_source


def split_target(target_features):
    """Return the features, and whether labels came along, which nobody reads.

    Args:
        target_features: Features, or a tuple of features and labels.

    Returns:
        Features and bool.
    """
    if isinstance(target_features, tuple) and len(target_features) == 2:
        features, labels = target_features
        if np.ndim(features) == 2 or hasattr(features, "tocsr"):
            del labels
            return features, True
    return target_features, False


def varying_features(source):
    """Return which features differ between source rows, bool `(width,)`.

    Args:
        source: Float array `(n, width)`.

    Raises:
        ValueError: If none does.
    """
    varying = np.ptp(source, axis=0) > 0
    if not varying.any():
        raise ValueError(
            "`source_features` must differ between rows. Received: source_features "
            f"with {len(varying)} features, all of them constant. Check how the "
            "features were computed."
        )
    return varying


def _check_finite(name, rows):
    data = rows.data if hasattr(rows, "row") else rows
    bad = np.argwhere(~np.isfinite(data))
    if len(bad):
        first = tuple(map(int, bad[0]))
        if hasattr(rows, "row"):
            first = int(rows.row[first[0]]), int(rows.col[first[0]])
        raise ValueError(
            f"`{name}` must hold finite numbers. Received: {name} with {len(bad)} "
            f"entries that are NaN or infinite, the first in row {first[0]}, column "
            f"{first[1]}. Drop such rows or fill them in."
        )


def _check_labeled(values):
    missing = [row for row, value in enumerate(values) if _is_missing(value)]
    # -1 is a class of its own where the other is 1, as support vector machines write.
    if not missing and not set(values) <= {-1, 1}:
        missing = [row for row, value in enumerate(values) if _is_minus_one(value)]
    if missing:
        more = ", ..." if len(missing) > _MOST_NAMED else ""
        raise ValueError(
            "`source_labels` must have a label for every source row. Received: "
            f"{len(missing)} rows without (None, NaN or -1), rows "
            f"{', '.join(map(str, missing[:_MOST_NAMED]))}{more}. Leave these rows "
            "out of the source, or add them to the target."
        )


def _is_missing(value):
    return value is None or (isinstance(value, float) and np.isnan(value))


def _is_minus_one(value):
    return not isinstance(value, (str, bool)) and value == -1


def _in_order(values):
    try:
        return sorted(values)
    except TypeError:
        return sorted(values, key=lambda value: (type(value).__name__, str(value)))


def _as_array(classes):
    array = np.asarray(classes)
    if array.ndim != 1 or array.tolist() != list(classes):  # mixed types, tuples
        array = np.empty(len(classes), object)
        array[:] = classes
    return array
