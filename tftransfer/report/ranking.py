"""A ranking of backbones in one picture: how well each suits, at which speed."""

from tftransfer.report.canvas import (
    BLUE,
    VERMILION,
    check_figure_path,
    finish_panel,
    make_figure,
    save_figure,
)


def plot_ranking(ranking, path):
    """Draw what `rank_backbones` found to a file: score against speed.

    A dot for each backbone that has the score, on a scale of speed that counts powers
    of ten; the first of the ranking in another color.

    Args:
        ranking: `BackboneRanking`.
        path: Image file to write or replace: PNG, PDF or SVG.

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: If `path` is of another kind.

    Example:

    ```python
    ranking = tft.rank_backbones(train)
    tft.plot_ranking(ranking, "ranking.png")
    ```
    """
    check_figure_path(path)
    save_figure(build_ranking_figure(ranking), path)


def build_ranking_figure(ranking):
    """Build the figure that `plot_ranking` writes.

    Args:
        ranking: See `plot_ranking`.

    Returns:
        A `matplotlib.figure.Figure`.
    """
    figure = make_figure(8, 5)
    panel = figure.subplots()
    panel.set_xscale("log")
    scored = [row for row in ranking.rows if row[ranking.sort_by] is not None]
    for place, row in enumerate(scored):
        color = VERMILION if row["name"] == ranking.best else BLUE
        dot = row["rows_per_second"], row[ranking.sort_by]
        panel.plot(*dot, "o", color=color)
        panel.annotate(
            row["name"],
            dot,
            # Neighbors in rank may lie close: one above its dot, the next below.
            xytext=(0, 8 if place % 2 == 0 else -16),
            textcoords="offset points",
            ha="center",
            fontsize=10,
            color=color,
        )
    panel.margins(x=0.3, y=0.2)
    finish_panel(
        panel,
        "rows a second on this machine",
        ranking.sort_by.replace("_", " "),
        f"{ranking.task}, {ranking.num_rows:,} rows",
    )
    return figure
