"""Whether a classifier is right as often as it says: promises against what came."""

import numpy as np

from tftransfer.checks import check_whole_number
from tftransfer.evaluation.metrics import wilson_interval
from tftransfer.evaluation.reliability import (
    NUM_BINS,
    confidence_and_outcome,
    reliability_bins,
)
from tftransfer.report.canvas import (
    BLUE,
    GREY,
    VERMILION,
    check_figure_path,
    make_figure,
    save_figure,
    shorten,
)

MOST_PANELS = 3
LARGEST_DOT = 420  # in points squared, of a bin that holds every row
SMALLEST_DOT = 12
PALE = "#bbbbbb"
KEPT = "as often right as sure"
LONGEST_NAME = 30


def plot_reliability(predictions, path, *, num_bins=NUM_BINS, equal_mass=False):
    """Draw how often a classifier is right against how sure it was, to a file.

    A dot for each bin of rows: on the line promises were kept, below it the model was
    too sure. Its area is its share of the rows; grey bars are 95 % intervals. Below
    stands how many rows are how sure. Of several labels each one counts.

    Args:
        predictions: A `Calibration`, an `Evaluation` of a classification or of several
            labels, or a dictionary from name to at most three of these evaluations.
        path: Image file to write or replace: PNG, PDF or SVG.
        num_bins: Number of bins.
        equal_mass: Whether bins hold equally many rows; otherwise equally wide.

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: If the predictions are of a regression or more than three, or `path`
            is of another kind.

    Example:

    >>> import os, tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = os.path.join(folder.name, "reliability.png")
    >>> plot_reliability(tft.evaluate_predictions([0, 1, 1], [0.2, 0.9, 0.4]), path)
    >>> os.path.exists(path)
    True
    >>> folder.cleanup()

    Reference:
        [Guo et al., 2017](https://arxiv.org/abs/1706.04599), figure 4.
    """
    check_figure_path(path)
    figure = build_reliability_figure(
        predictions, num_bins=num_bins, equal_mass=equal_mass
    )
    save_figure(figure, path)


def build_reliability_figure(predictions, *, num_bins=NUM_BINS, equal_mass=False):
    """Build the figure that `plot_reliability` writes.

    Args:
        predictions: See `plot_reliability`.
        num_bins: See `plot_reliability`.
        equal_mass: See `plot_reliability`.

    Returns:
        A `matplotlib.figure.Figure`.
    """
    check_whole_number("num_bins", num_bins)
    named = _read(predictions)
    events = {
        name: confidence_and_outcome(each.labels, each.probabilities, each.task)
        for name, each in named.items()
    }
    several_labels = any(each.task == "multi_label" for each in named.values())
    figure = make_figure(12 if len(named) > 1 else 7.2, 5.8 if len(named) > 2 else 7.8)
    panels = figure.subplots(
        2, len(named), squeeze=False, sharex=True, sharey="row", height_ratios=[4, 1]
    )
    for place, (name, (confidence, outcome)) in enumerate(events.items()):
        bins = reliability_bins(confidence, outcome, num_bins, equal_mass=equal_mass)
        _draw_bins(panels[0, place], bins)
        _draw_rows(panels[1, place], confidence)
        title = f"calibration error {100 * bins.error:.1f} %"
        panels[0, place].set_title(
            f"{shorten(name, LONGEST_NAME)}: {title}" if name else title.capitalize(),
            fontsize=14,
            parse_math=False,
        )
    promised = "probability" if several_labels else "confidence"
    came = "share that is there" if several_labels else "share that is right"
    panels[0, 0].set_ylabel(came, fontsize=13)
    panels[1, 0].set_ylabel("rows" if not several_labels else "labels", fontsize=13)
    panels[0, 0].legend(loc="upper left", fontsize=11, frameon=False)
    for panel in panels[1]:
        panel.set_xlabel(promised, fontsize=13)
    return figure


def _read(predictions):
    if hasattr(predictions, "temperature"):
        after = f"temperature {predictions.temperature:.2f}"
        return {"as it was": predictions.before, after: predictions.after}
    if not isinstance(predictions, dict):
        return {"": predictions}
    if not 1 <= len(predictions) <= MOST_PANELS:
        raise ValueError(
            f"`predictions` must be one to {MOST_PANELS} evaluations. "
            f"Received: {len(predictions)} of them. Draw several figures."
        )
    return predictions


def _draw_bins(panel, bins):
    shown = bins.counts > 0
    promised, came = bins.confidence[shown], bins.frequency[shown]
    counts = bins.counts[shown]
    panel.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle="--", label=KEPT)
    ends = np.array(
        [
            wilson_interval(share * count, count)
            for share, count in zip(came, counts, strict=True)
        ]
    )
    panel.vlines(
        promised, ends[:, 0], ends[:, 1], color=PALE, linewidth=3, label="95 % interval"
    )
    panel.vlines(promised, promised, came, color=VERMILION, linewidth=1.5, label="gap")
    area = np.maximum(LARGEST_DOT * counts / counts.sum(), SMALLEST_DOT)
    panel.scatter(promised, came, s=area, color=BLUE, zorder=3)
    panel.set_xlim(-0.02, 1.02)
    panel.set_ylim(-0.02, 1.02)
    panel.grid(color="#eeeeee")
    panel.set_axisbelow(True)
    panel.spines[["top", "right"]].set_visible(False)


def _draw_rows(panel, confidence):
    panel.hist(confidence, bins=np.linspace(0, 1, 41), color=BLUE, alpha=0.8)
    panel.spines[["top", "right"]].set_visible(False)
