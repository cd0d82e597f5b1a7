"""A ranking of backbones: rows, best first, that print in columns and save as JSON."""

import dataclasses

from tftransfer.columns import align_columns
from tftransfer.writing import write_json

SCORES = ("logme", "h_score", "nce", "leep", "linear_probe", "knn")
_TITLES = {
    "name": "backbone",
    "logme": "LogME",
    "h_score": "H-score",
    "nce": "NCE",
    "leep": "LEEP",
    "linear_probe": "linear probe",
    "knn": "kNN",
    "a_distance": "A-distance",
    "features": "features",
    "parameters": "parameters",
    "megabytes": "MB",
    "rows_per_second": "rows/s",
}


@dataclasses.dataclass(frozen=True)
class BackboneRanking:
    """Backbones side by side, before anything was trained; `print` shows a table.

    Attributes:
        rows: List of dict, best first, each with `"name"`, its scores (`None` where one
            does not apply), `"a_distance"` where a target was given, `"features"`
            (width), `"parameters"`, `"megabytes"` (of float32 weights, about the size
            of an export), `"rows_per_second"` (batches of 32 on this machine, whatever
            else it does) and `"seconds"` (all that was done for it).
        sort_by: The score the rows are sorted by.
        task: `"classification"` or `"regression"`.
        num_rows: Rows that the scores were computed on.
        notes: List of str: what was left out, and why.
    """

    rows: list
    sort_by: str
    task: str
    num_rows: int
    notes: list

    @property
    def best(self):
        """Name of the first backbone."""
        return self.rows[0]["name"]

    def __str__(self):
        names = [
            name
            for name in _TITLES
            if any(row.get(name) is not None for row in self.rows)
        ]
        cells = [[_show(name, row.get(name)) for name in names] for row in self.rows]
        title = f"{self.task}, {self.num_rows:,} rows, sorted by "
        lines = align_columns([[_TITLES[name] for name in names], *cells])
        notes = ["", *self.notes] if self.notes else []
        return "\n".join([title + _TITLES[self.sort_by], "", *lines, *notes])

    def to_dict(self):
        """Return everything as plain Python values."""
        return dataclasses.asdict(self)

    def save(self, path):
        """Write `to_dict()` as JSON; a reader never sees half a file.

        Args:
            path: File to write or replace; missing folders are made.
        """
        write_json(path, self.to_dict())


def _show(name, value):
    if value is None:
        return "–"
    if name in ("features", "parameters"):
        return f"{value:,}"
    if name in ("megabytes", "rows_per_second"):
        return f"{value:,.1f}" if value < 100 else f"{value:,.0f}"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
