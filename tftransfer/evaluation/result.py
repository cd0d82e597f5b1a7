"""What an evaluation found: figures to read, print and save."""

import dataclasses

import numpy as np

from tftransfer.evaluation.table import format_evaluation
from tftransfer.writing import write_json


@dataclasses.dataclass(frozen=True, eq=False)
class Evaluation:
    """Figures of one model on one set of rows, made by `evaluate`.

    `print(evaluation)` shows an aligned table.

    Attributes:
        task: `"classification"`, `"multi_label"` or `"regression"`.
        class_names: Tuple of str: the classes, labels or predicted values.
        num_rows: Rows that were evaluated.
        metrics: Dictionary from name to float; None where a figure is undefined.
        intervals: Dictionary from name to the 95 % interval `(low, high)`: Wilson for
            a share of rows, percentile bootstrap (fixed seed) for a regression.
        notes: Dictionary from name to the reason why a figure is undefined, or to
            what its mean leaves out.
        per_class: One dictionary for each class, label or value.
        confusion: Integer array, rows are labels, columns predictions; None except
            for classification.
        labels: Array of the labels: `(n,)` class numbers, else `(n, num_classes)`.
        probabilities: Float array `(n, num_classes)`; of a regression the values.
    """

    task: str
    class_names: tuple
    num_rows: int
    metrics: dict
    intervals: dict
    notes: dict
    per_class: list
    confusion: np.ndarray | None = dataclasses.field(repr=False)
    labels: np.ndarray = dataclasses.field(repr=False)
    probabilities: np.ndarray = dataclasses.field(repr=False)

    def __str__(self):
        return format_evaluation(self)

    def to_dict(self):
        """Return the figures as plain Python values, without the rows themselves."""
        confusion = None if self.confusion is None else self.confusion.tolist()
        return {
            "task": self.task,
            "num_rows": self.num_rows,
            "class_names": list(self.class_names),
            "metrics": dict(self.metrics),
            "intervals": {name: list(ends) for name, ends in self.intervals.items()},
            "notes": dict(self.notes),
            "per_class": [dict(row) for row in self.per_class],
            "confusion": confusion,
        }

    def save(self, path):
        """Write `to_dict()` as JSON; a reader never sees half a file.

        Args:
            path: File to write or replace; missing folders are made.
        """
        write_json(path, self.to_dict())
