"""What a budget bought: the chosen model, what else was tried, and why this one."""

import dataclasses

import keras
import numpy as np

from tftransfer.columns import align_columns
from tftransfer.evaluation.metrics import wilson_interval
from tftransfer.writing import write_json


@dataclasses.dataclass(frozen=True, eq=False)
class Trial:
    """One thing that was tried.

    Attributes:
        name: What it was.
        score: Accuracy, or for a regression R^2, on the validation rows.
        seconds: Seconds from the start until this was known.
        predicted: Probabilities or values, `(rows, columns)`.
        backbones: Tuple of the names of what is in it.
    """

    name: str
    score: float
    seconds: float
    predicted: np.ndarray = dataclasses.field(repr=False)
    backbones: tuple


@dataclasses.dataclass(frozen=True, eq=False)
class AutoTransfer:
    """What `auto_transfer` found; `print` shows score against minutes.

    The score of the best of several is a little too good: measure the model once on
    rows that took no part.

    Attributes:
        model: The chosen compiled `keras.Model`, ready to evaluate and export.
        trials: List of `Trial`, in the order they were made.
        best: `Trial` of the chosen model.
        why: Str: why this one.
        metric: `"accuracy"` or `"R2"`, of the validation rows.
        num_rows: Validation rows.
        budget: Seconds asked for.
        seconds: Seconds taken.
        notes: List of str: what was left out, and why.
    """

    model: keras.Model
    trials: list
    best: Trial
    why: str
    metric: str
    num_rows: int
    budget: float
    seconds: float
    notes: list

    @property
    def frontier(self):
        """Trials that were better than all before them."""
        found: list = []
        for trial in self.trials:
            if not found or trial.score > found[-1].score:
                found.append(trial)
        return found

    def __str__(self):
        better = set(map(id, self.frontier))
        lines = [["", "minutes", self.metric, "95 % interval", ""]]
        for trial in self.trials:
            mark = "chosen" if trial is self.best else ""
            mark = mark or ("better than all before" if id(trial) in better else "")
            lines.append(
                [
                    trial.name,
                    f"{trial.seconds / 60:.1f}",
                    f"{trial.score:.4f}",
                    self._interval(trial),
                    mark,
                ]
            )
        right = [False, True, True, True, False]
        title = f"{self.num_rows:,} validation rows; {self.seconds:.0f} of "
        notes = ["", *self.notes] if self.notes else []
        table = align_columns(lines, right=right)
        title += f"{self.budget:.0f} seconds"
        return "\n".join([title, "", *table, "", self.why, *notes])

    def to_dict(self):
        """Return everything but the model and predictions as plain Python values."""
        trials = [
            {
                "name": trial.name,
                "score": trial.score,
                "seconds": trial.seconds,
                "backbones": list(trial.backbones),
            }
            for trial in self.trials
        ]
        return {
            "trials": trials,
            "best": self.best.name,
            "why": self.why,
            "metric": self.metric,
            "num_rows": self.num_rows,
            "budget": self.budget,
            "seconds": self.seconds,
            "notes": list(self.notes),
        }

    def save(self, path):
        """Write `to_dict()` as JSON; a reader never sees half a file."""
        write_json(path, self.to_dict())

    def _interval(self, trial):
        if self.metric != "accuracy":
            return ""
        low, high = wilson_interval(round(trial.score * self.num_rows), self.num_rows)
        return f"{low:.4f} to {high:.4f}"
