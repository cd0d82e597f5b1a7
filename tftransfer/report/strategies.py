"""Strategies of fine-tuning in one picture: how good, after how many minutes."""

from tftransfer.report.canvas import (
    BLUE,
    VERMILION,
    check_figure_path,
    finish_panel,
    make_figure,
    save_figure,
)

CONTROL = "from_scratch"


def plot_strategies(comparison, path):
    """Draw what `compare_strategies` found to a file: accuracy against minutes.

    A dot for each strategy, with the 95 % interval over seeds; a line across at what
    training from scratch gave, below which transfer is negative.

    Args:
        comparison: `StrategyComparison`.
        path: Image file to write or replace: PNG, PDF or SVG.

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: If `path` is of another kind.

    Example:

    ```python
    result = tft.compare_strategies(build, train, held_out)
    tft.plot_strategies(result, "strategies.png")
    ```
    """
    check_figure_path(path)
    save_figure(build_strategies_figure(comparison), path)


def build_strategies_figure(comparison):
    """Build the figure that `plot_strategies` writes.

    Args:
        comparison: See `plot_strategies`.

    Returns:
        A `matplotlib.figure.Figure`.
    """
    figure = make_figure(8, 5)
    panel = figure.subplots()
    for place, row in enumerate(comparison.rows):
        is_control = row["strategy"] == CONTROL
        color = VERMILION if is_control else BLUE
        if is_control:
            panel.axhline(row["mean"], color=color, linewidth=1, linestyle="--")
        interval = row["interval"] or (row["mean"], row["mean"])
        panel.errorbar(
            row["minutes"],
            row["mean"],
            yerr=[[row["mean"] - interval[0]], [interval[1] - row["mean"]]],
            fmt="o",
            color=color,
            capsize=3,
        )
        panel.annotate(
            row["strategy"].replace("_", " "),
            (row["minutes"], row["mean"]),
            # Neighbors in rank may lie close: one above its dot, the next below.
            xytext=(6, 7 if place % 2 == 0 else -13),
            textcoords="offset points",
            fontsize=10,
            color=color,
        )
    panel.margins(x=0.25, y=0.15)
    panel.set_xlim(left=0)
    seeds = len(comparison.seeds)
    finish_panel(
        panel,
        "minutes of training",
        comparison.metric.replace("_", " "),
        f"{comparison.epochs} epochs each, {seeds} seed{'s' if seeds > 1 else ''}",
    )
    return figure
