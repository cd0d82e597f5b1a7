"""What a cross-validation found: figures to read, print and save."""

import dataclasses

import numpy as np

from tftransfer.selection.intervals import corrected_interval
from tftransfer.selection.table import format_cross_validation
from tftransfer.writing import write_json

LIMITS = {  # of what are no shares in 0..1
    "mean_absolute_error": (0.0, np.inf),
    "root_mean_squared_error": (0.0, np.inf),
    "r2": (-np.inf, 1.0),
}


@dataclasses.dataclass(frozen=True, eq=False)
class CrossValidation:
    """Figures of one way to build and train, made by `cross_validate`.

    `print(result)` shows an aligned table. Its figures are means over folds; to see
    all held-out rows of a seed as one set, call `tft.evaluate_predictions(
    result.labels, result.probabilities[0], task=result.task)`.

    Attributes:
        task: `"classification"`, `"multi_label"` or `"regression"`.
        class_names: Tuple of str: the classes, labels or predicted values.
        num_rows: Rows of the data.
        num_folds: Folds for each seed.
        seeds: Tuple of whole numbers.
        metrics: Dictionary from name to the mean over all folds of all seeds in which
            the figure is defined, or None.
        standard_deviations: The same for their standard deviation (over `J - 1`).
        intervals: Dictionary from name to the 95 % interval `(low, high)` of the mean,
            see `corrected_interval`, cut to the values that the figure can take.
        notes: Dictionary from name to what its mean leaves out.
        scores: One dictionary for each fold: `seed`, `fold`, `num_rows`, `seconds` and
            `metrics` as in `Evaluation`.
        labels: Array of the labels: `(n,)` class numbers, else `(n, num_classes)`.
        probabilities: Float array `(seeds, n, num_classes)`: row `i` as predicted by
            the model of the fold that did not train on it; of a regression the values.
        folds: Int array `(seeds, n)`: the fold in which a row was held out.
    """

    task: str
    class_names: tuple
    num_rows: int
    num_folds: int
    seeds: tuple
    metrics: dict
    standard_deviations: dict
    intervals: dict
    notes: dict
    scores: list = dataclasses.field(repr=False)
    labels: np.ndarray = dataclasses.field(repr=False)
    probabilities: np.ndarray = dataclasses.field(repr=False)
    folds: np.ndarray = dataclasses.field(repr=False)

    def __str__(self):
        return format_cross_validation(self)

    def to_dict(self):
        """Return the figures as plain Python values, without the rows themselves."""
        return {
            "task": self.task,
            "num_rows": self.num_rows,
            "num_folds": self.num_folds,
            "seeds": list(self.seeds),
            "class_names": list(self.class_names),
            "metrics": dict(self.metrics),
            "standard_deviations": dict(self.standard_deviations),
            "intervals": {name: list(ends) for name, ends in self.intervals.items()},
            "notes": dict(self.notes),
            "scores": [dict(score) for score in self.scores],
        }

    def save(self, path):
        """Write `to_dict()` as JSON; a reader never sees half a file.

        Args:
            path: File to write or replace; missing folders are made.
        """
        write_json(path, self.to_dict())


def summarize(scores, num_rows):
    """Join the figures of all folds.

    Args:
        scores: List as in `CrossValidation.scores`.
        num_rows: Rows of the data.

    Returns:
        Dictionary of `metrics`, `standard_deviations`, `intervals` and `notes`.

    Example:

    >>> folds = [{"num_rows": 5, "metrics": {"accuracy": x}} for x in (0.8, 0.6)]
    >>> round(summarize(folds, 10)["metrics"]["accuracy"], 4)
    0.7
    """
    # Rows held out for each row trained on.
    share = np.mean([s["num_rows"] / (num_rows - s["num_rows"]) for s in scores])
    found: dict = {
        part: {} for part in ("metrics", "standard_deviations", "intervals", "notes")
    }
    for name in scores[0]["metrics"]:
        values = [score["metrics"][name] for score in scores]
        defined = [value for value in values if value is not None]
        found["metrics"][name] = float(np.mean(defined)) if defined else None
        spread = float(np.std(defined, ddof=1)) if len(defined) > 1 else None
        found["standard_deviations"][name] = spread
        ends = corrected_interval(defined, share)
        if ends is not None:
            limits = LIMITS.get(name, (0.0, 1.0))
            found["intervals"][name] = tuple(np.clip(ends, *limits).tolist())
        if len(defined) < len(values):
            lost = len(values) - len(defined)
            found["notes"][name] = f"undefined in {lost} of {len(values)} folds"
    return found
