"""The figure of `adaptation.py`: what is estimated without labels, and what is so."""

import matplotlib

matplotlib.use("Agg")

import numpy as np
from adaptation_judging import CONTROL, GUARD
from matplotlib import pyplot


def draw_figure(rows, path):
    """Draw estimated against true accuracy, and predicted against true gain."""
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 5.2), dpi=120)
    families = list(dict.fromkeys(row["family"] for row in rows))
    colors = pyplot.get_cmap("tab20")(np.arange(len(families)) % 20)
    for family, color in zip(families, colors, strict=True):
        found = [row for row in rows if row["family"] == family]
        marker = "x" if found[0]["is_stress"] else "o"
        style = {"color": color, "marker": marker, "s": 22, "label": family}
        estimates = np.array([row["estimates"][CONTROL] for row in found])
        truth = [row["accuracies"][CONTROL] for row in found]
        left.scatter(estimates[:, 0], truth, **style)
        left.hlines(truth, estimates[:, 1], estimates[:, 2], color=color, alpha=0.15)
        gains = [
            [
                row["estimates"]["chosen"][0] - row["estimates"][CONTROL][0]
                for row in found
            ],
            [row["gains"][GUARD][0] for row in found],
        ]
        right.scatter(*gains, **style)
    for axes, what in ((left, "accuracy of the control, %"), (right, "gain, points")):
        low, high = min(axes.get_xlim()[0], axes.get_ylim()[0]), axes.get_ylim()[1]
        axes.plot([low, high], [low, high], color="gray", linewidth=0.8)
        axes.set(xlabel=f"estimated {what}", ylabel=f"true {what}")
    right.axhline(0, color="gray", linewidth=0.4)
    left.set_title("Without target labels: what is said and what is so", fontsize=10)
    right.set_title(f"{len(rows)} runs, each a dot", fontsize=10)
    figure.legend(
        *left.get_legend_handles_labels(),
        loc="lower center",
        ncols=5,
        fontsize=7,
        frameon=False,
    )
    figure.tight_layout(rect=(0, 0.1, 1, 1))
    figure.savefig(path)
    print(f"figure: {path}")
