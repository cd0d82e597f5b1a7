"""What a comparison of strategies found: to read, print, save and draw."""

import dataclasses

import numpy as np

from tftransfer.columns import align_columns
from tftransfer.evaluation.table import TITLES, show_figure, show_interval
from tftransfer.selection.intervals import corrected_interval
from tftransfer.selection.table import LOWER_IS_BETTER
from tftransfer.writing import write_json

CONTROL = "from_scratch"


@dataclasses.dataclass(frozen=True, eq=False)
class StrategyComparison:
    """Strategies of fine-tuning, measured alike by `compare_strategies`.

    `print(result)` shows a table, the best strategy first.

    Attributes:
        runs: List of a dictionary for each run: `strategy`, `seed`, `metric`,
            `value`, `minutes`, `trainable_parameters` and `num_rows`.
        seeds: Tuple of whole numbers.
        epochs: Epochs of each run.
    """

    runs: list = dataclasses.field(repr=False)
    seeds: tuple
    epochs: int

    @property
    def metric(self):
        """Name of the figure compared, such as `"accuracy"`."""
        return self.runs[0]["metric"]

    @property
    def rows(self):
        """One dictionary for each strategy, the best first.

        `mean` and 95 % `interval` over seeds (Student, `None` for one seed); `gain`
        over training from scratch, positive where better, and its `gain_interval`, of
        the differences seed by seed; mean `minutes`; `trainable_parameters` at the end.
        """
        sign = -1 if self.metric in LOWER_IS_BETTER else 1
        control = self._values(CONTROL)
        rows = []
        for name in dict.fromkeys(run["strategy"] for run in self.runs):
            own = [run for run in self.runs if run["strategy"] == name]
            values = self._values(name)
            gains = sign * (values - control)
            rows.append(
                {
                    "strategy": name,
                    "mean": float(values.mean()),
                    "interval": corrected_interval(values, 0.0),
                    "gain": float(gains.mean()),
                    "gain_interval": corrected_interval(gains, 0.0),
                    "minutes": float(np.mean([run["minutes"] for run in own])),
                    "trainable_parameters": own[0]["trainable_parameters"],
                }
            )
        return sorted(rows, key=lambda row: -sign * row["mean"])

    @property
    def best(self):
        """Name of the strategy with the best mean."""
        return self.rows[0]["strategy"]

    @property
    def negative_transfer(self):
        """Names of the strategies that are worse than training from scratch.

        Those whose interval of the gain lies below 0; with one seed, whose gain does.
        """
        return [
            row["strategy"]
            for row in self.rows
            if (row["gain_interval"] or (0, row["gain"]))[1] < 0
        ]

    def _values(self, name):
        values = {x["seed"]: x["value"] for x in self.runs if x["strategy"] == name}
        return np.array([values[seed] for seed in self.seeds])

    def __str__(self):
        seeds = f"seed{'s' if len(self.seeds) > 1 else ''} "
        seeds += ", ".join(map(str, self.seeds))
        heading = (
            f"{TITLES[self.metric]} of {self.runs[0]['num_rows']} held-out rows, "
            f"{self.epochs} epochs each, {seeds}"
        )
        table = [["strategy", "mean", "", "against scratch", "minutes", "parameters"]]
        for row in self.rows:
            table.append(
                [
                    row["strategy"],
                    show_figure(row["mean"]),
                    show_interval(row["interval"]),
                    f"{row['gain']:+.4f}",
                    f"{row['minutes']:.1f}",
                    f"{row['trainable_parameters']:,}",
                ]
            )
        right = [False, True, False, True, True, True]
        lines = [heading, "", *align_columns(table, right=right)]
        if self.negative_transfer:
            worse = ", ".join(self.negative_transfer)
            lines += ["", f"negative transfer, worse than from scratch: {worse}"]
        return "\n".join(lines)

    def to_dict(self):
        """Return the figures as plain Python values."""
        return {
            "metric": self.metric,
            "seeds": list(self.seeds),
            "epochs": self.epochs,
            "strategies": self.rows,
            "runs": [dict(run) for run in self.runs],
        }

    def save(self, path):
        """Write `to_dict()` as JSON; a reader never sees half a file.

        Args:
            path: File to write or replace; missing folders are made.
        """
        write_json(path, self.to_dict())
