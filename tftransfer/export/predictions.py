"""What an exported model predicted, row by row, to read, print and save."""

import collections.abc
import dataclasses
import json

import numpy as np

from tftransfer.columns import align_columns

HALF = 0.5  # from here on a label of several counts as present


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What was predicted for one file, image or text.

    Attributes:
        source: The file as it was given, or the number of the row.
        label: The most probable class; `None` for a regression.
        probability: Its probability, 0..1; `None` for a regression.
        labels: Of a model for several labels at once, those of probability 0.5 and
            more; else `None`.
        probabilities: Dictionary from class name to probability; `None` for a
            regression.
        values: Dictionary from name to value; `None` but for a regression.
        error: Why nothing was predicted, where a file could not be read and
            `on_error="keep"`; then all but `source` is `None`.
    """

    source: str | int
    label: str | None = None
    probability: float | None = None
    labels: tuple | None = None
    probabilities: dict | None = None
    values: dict | None = None
    error: str | None = None

    def to_dict(self):
        """Return what applies to the task, as plain Python values."""
        return {
            name: value
            for name, value in dataclasses.asdict(self).items()
            if value is not None
        }


class Predictions(collections.abc.Sequence):
    """Table of `Prediction`s: index it, loop over it, print it, `to_json()` it.

    Args:
        rows: List of `Prediction`.

    Example:

    >>> table = Predictions([Prediction("a.png", "cat", 0.75, None, {"cat": 0.75})])
    >>> table[0].label
    'cat'
    >>> print(table)
    source  label  probability
    a.png   cat         0.7500
    """

    def __init__(self, rows):
        self.rows = list(rows)

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        chosen = self.rows[index]
        return Predictions(chosen) if isinstance(index, slice) else chosen

    def __str__(self):
        if not self.rows:
            return "no predictions"
        cells = [_cells(row) for row in self.rows]
        titles = list(dict.fromkeys(title for row in cells for title in row))
        table = [[row.get(title, "") for title in titles] for row in cells]
        return _align([titles, *table])

    __repr__ = __str__

    @property
    def labels(self):
        """List of the most probable labels, row by row."""
        return [row.label for row in self.rows]

    def to_array(self):
        """Return all probabilities, or values, as a float32 array `(rows, names)`.

        Rows that tell an error are NaN.
        """
        rows = [row.probabilities or row.values or {} for row in self.rows]
        names = max(rows, key=len, default={})
        return np.array(
            [[row.get(name, np.nan) for name in names] for row in rows], "f"
        )

    def to_json(self):
        """Return the rows as JSON text, a list of objects."""
        rows = [row.to_dict() for row in self.rows]
        return json.dumps(rows, indent=2, ensure_ascii=False)


def build_predictions(sources, outputs, task, class_names, errors=None):
    """Build the table of what a signature returned.

    Args:
        sources: Files or row numbers, one per row.
        outputs: Array `(rows, num_classes)`: probabilities, or values.
        task: Name of the task.
        class_names: Names of the columns.
        errors: Dictionary from the number of a row to why it has no outputs.

    Returns:
        `Predictions`.
    """
    rows = []
    for place, (source, numbers) in enumerate(zip(sources, outputs, strict=True)):
        if errors and place in errors:
            rows.append(Prediction(source, error=errors[place]))
            continue
        named = dict(zip(class_names, map(float, numbers), strict=True))
        if task == "regression":
            rows.append(Prediction(source, values=named))
            continue
        label = class_names[int(np.argmax(numbers))]
        present = tuple(name for name, value in named.items() if value >= HALF)
        labels = present if task == "multi_label" else None
        rows.append(Prediction(source, label, named[label], labels, named))
    return Predictions(rows)


def _cells(row):
    cells = {"source": str(row.source)}
    if row.error is not None:
        return cells | {"error": row.error}
    if row.values is not None:
        return cells | {name: f"{value:.6g}" for name, value in row.values.items()}
    cells["label"] = row.label
    if row.labels is not None:
        cells["labels"] = ", ".join(row.labels) or "-"
    return cells | {"probability": f"{row.probability:.4f}"}


def _align(table):
    columns = zip(*table[1:], strict=True)
    filled = [[cell for cell in column if cell] for column in columns]
    is_number = [bool(cells) and _reads_as_number(cells[0]) for cells in filled]
    # Files and labels may look like numbers; only what follows them is to the right.
    is_number[0] = False
    return "\n".join(align_columns(table, right=is_number))


def _reads_as_number(text):
    try:
        float(text)
    except ValueError:
        return False
    return True
