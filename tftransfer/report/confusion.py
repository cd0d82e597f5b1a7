"""Which classes are taken for which: the confusion matrix as a picture."""

import numpy as np

from tftransfer.report.canvas import (
    check_figure_path,
    make_figure,
    save_figure,
    shorten,
)

MOST_WITH_COUNTS = 14  # classes whose cells have room for a count and a percentage
MOST_WITH_TEXT = 30
MOST_NAMED = 50
LONGEST_NAME = 24


def plot_confusion(evaluation, path):
    """Draw the confusion matrix of a classifier to a file.

    Rows are labels and columns predictions; color and percentages are shares of the
    row, so that rare classes can be read as well as frequent ones.

    Args:
        evaluation: An `Evaluation` of a classification.
        path: Image file to write or replace: PNG, PDF or SVG.

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: If the evaluation is of another task, or `path` of another kind.

    Example:

    >>> import os, tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = os.path.join(folder.name, "confusion.png")
    >>> plot_confusion(tft.evaluate_predictions([0, 1, 1], [0.2, 0.9, 0.4]), path)
    >>> os.path.exists(path)
    True
    >>> folder.cleanup()
    """
    check_figure_path(path)
    save_figure(build_confusion_figure(evaluation), path)


def build_confusion_figure(evaluation):
    """Build the figure that `plot_confusion` writes.

    Args:
        evaluation: See `plot_confusion`.

    Returns:
        A `matplotlib.figure.Figure`.
    """
    counts = getattr(evaluation, "confusion", None)
    if counts is None:
        raise ValueError(
            "`evaluation` must be of a classification. Received: "
            f"task={getattr(evaluation, 'task', None)!r}. Other tasks have no "
            "confusion matrix: print the evaluation."
        )
    rows = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, rows, out=np.zeros(counts.shape), where=rows > 0)
    figure = make_figure(12, 9.6 if len(counts) <= 4 else 10.5)
    panel = figure.subplots()
    image = panel.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    _write_cells(panel, counts, shares)
    _name_axes(panel, evaluation.class_names, rows[:, 0])
    panel.set_title(_title(evaluation), fontsize=16, pad=14)
    bar = figure.colorbar(image, ax=panel, shrink=0.8)
    bar.set_ticks(
        [0, 0.25, 0.5, 0.75, 1], labels=["0 %", "25 %", "50 %", "75 %", "100 %"]
    )
    bar.set_label("share of the row", fontsize=13)
    bar.outline.set_visible(False)
    return figure


def _title(evaluation):
    low, high = evaluation.intervals["accuracy"]
    accuracy = evaluation.metrics["accuracy"]
    return (
        f"Confusion matrix of {evaluation.num_rows:,} rows\naccuracy "
        f"{100 * accuracy:.1f} % (95 % interval {100 * low:.1f} to {100 * high:.1f} %)"
    )


def _write_cells(panel, counts, shares):
    num_classes = len(counts)
    if num_classes > MOST_WITH_TEXT:
        return
    size = float(np.clip(130 / num_classes, 7, 24))
    for (row, column), count in np.ndenumerate(counts):
        share = shares[row, column]
        text = (
            f"{count}\n{100 * share:.1f} %"
            if num_classes <= MOST_WITH_COUNTS
            else f"{count}"
        )
        panel.text(
            column,
            row,
            text,
            ha="center",
            va="center",
            fontsize=size,
            color="white" if share > 0.55 else "black" if count else "#888888",
        )


def _name_axes(panel, class_names, rows):
    num_classes = len(class_names)
    step = -(-num_classes // MOST_NAMED)
    places = list(range(0, num_classes, step))
    size = float(np.clip(170 / num_classes, 7, 15))
    names = [shorten(class_names[place], LONGEST_NAME) for place in places]
    with_rows = [f"{n} ({rows[p]})" for n, p in zip(names, places, strict=True)]
    tilted = max(map(len, names)) * num_classes > 60
    panel.set_xticks(
        places,
        names,
        fontsize=size,
        parse_math=False,
        rotation=45 if tilted else 0,
        ha="right" if tilted else "center",
        rotation_mode="anchor",
    )
    panel.set_yticks(places, with_rows, fontsize=size, parse_math=False)
    panel.set_xlabel("prediction", fontsize=14)
    panel.set_ylabel("label (rows)", fontsize=14)
    panel.tick_params(length=0)
    panel.spines[:].set_visible(False)
