"""Labels out of the text of a table, checked and ready to stratify by."""

import collections
import dataclasses
import math

import numpy as np

from tftransfer.checks import check_choice
from tftransfer.tasks import TASKS

RAREST_STRATUM = 10  # combinations seen less often are stratified as one
EMPTY = ("", "nan", "na", "n/a", "null", "none")
VALUE_STRATA = 10  # quantiles that stand for the values of a regression


@dataclasses.dataclass(frozen=True)
class Labels:
    """What a table says about its images.

    Attributes:
        values: int64 array `(n,)` of classes, or float32 array `(n, columns)`.
        class_names: List of `str`; for multi-label and regression the columns.
        strata: Array `(n,)` to stratify a split by.
    """

    values: np.ndarray
    class_names: list
    strata: np.ndarray


def read_labels(rows, columns, task=None, class_names=None):
    """Read the label columns of a table.

    Args:
        rows: Dictionary, line number to a dictionary of column name to text.
        columns: List of `str`, the label columns.
        task: One of `TASKS`, or None to go by the number of columns.
        class_names: List of `str` to use as the classes, or None.

    Returns:
        A `Labels`.

    Raises:
        ValueError: If a label is empty, NaN or not among those expected, or there is
            one class only.

    Example:

    >>> labels = read_labels({2: {"grade": "b"}, 3: {"grade": "a"}}, ["grade"])
    >>> labels.values.tolist(), labels.class_names
    ([1, 0], ['a', 'b'])
    """
    task = task or ("classification" if len(columns) == 1 else "multi_label")
    check_choice("task", task, TASKS)
    if not columns or (task == "classification" and len(columns) > 1):
        raise ValueError(
            "`label_columns` must be one column for classification, one or more for "
            f"other tasks. Received: label_columns={columns!r}, task={task!r}."
        )
    _check_filled(rows, columns)
    if task == "classification":
        return _read_classes(rows, columns[0], class_names)
    values = _read_numbers(rows, columns)
    if task == "multi_label":
        _check_binary(rows, values, columns)
        return Labels(values, columns, _pattern_strata(values))
    return Labels(values, columns, _value_strata(values[:, 0]))


def _check_filled(rows, columns):
    for column in columns:
        texts = {
            line: (row[column] or "").strip().lower() for line, row in rows.items()
        }
        bad = [line for line, text in texts.items() if text in EMPTY]
        _refuse_rows(column, "a label in every row", bad)


def _refuse_rows(column, wanted, lines):
    if lines:
        raise ValueError(
            f"Column {column!r} must hold {wanted}. "
            f"Received: something else in {len(lines)} row(s): {lines[:10]}. "
            "Correct or remove them."
        )


def _read_classes(rows, column, class_names):
    texts = [row[column].strip() for row in rows.values()]
    found = sorted(set(texts), key=_class_order)
    names = [str(name) for name in class_names or found]
    if len(set(names)) < 2:
        raise ValueError(
            f"Column {column!r} must hold at least two classes. "
            f"Received: only {names}. Check the label column, or pass class_names=."
        )
    if not set(texts) <= set(names) and all(map(_is_whole, texts)):
        positions = {str(i): i for i in range(len(names))}
        texts = [str(int(text)) for text in texts]
    else:
        positions = {name: i for i, name in enumerate(names)}
    bad = [
        line for line, text in zip(rows, texts, strict=True) if text not in positions
    ]
    _refuse_rows(column, f"one of the classes {names}, or their numbers from 0", bad)
    values = np.array([positions[text] for text in texts], "int64")
    return Labels(values, names, values)


def _is_whole(text):
    return text.removeprefix("-").isdecimal()


def _class_order(text):
    # Whole numbers in their own order, so that 10 comes after 9, then other names.
    return (0, int(text), text) if text.isdecimal() else (1, 0, text)


def _read_numbers(rows, columns):
    values = np.empty((len(rows), len(columns)), "float32")
    for position, column in enumerate(columns):
        numbers = [_to_number(row[column]) for row in rows.values()]
        _refuse_rows(column, "finite numbers", _lines(rows, ~np.isfinite(numbers)))
        values[:, position] = numbers
    return values


def _to_number(text):
    try:
        return float(text)
    except ValueError:
        return math.nan


def _check_binary(rows, values, columns):
    for column, numbers in zip(columns, values.T, strict=True):
        bad = _lines(rows, ~np.isin(numbers, (0, 1)))
        _refuse_rows(column, "0 or 1 for task='multi_label'", bad)


def _lines(rows, is_bad):
    return [line for line, bad in zip(rows, is_bad, strict=True) if bad]


def _pattern_strata(values):
    patterns = ["".join(map(str, row)) for row in values.astype("int64")]
    counts = collections.Counter(patterns)
    return np.array([p if counts[p] >= RAREST_STRATUM else "rare" for p in patterns])


def _value_strata(numbers):
    edges = np.quantile(numbers, np.linspace(0, 1, VALUE_STRATA + 1)[1:-1])
    return np.searchsorted(edges, numbers)
