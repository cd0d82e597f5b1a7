"""Curves of a training run: loss and metrics of each epoch, and where stages begin."""

import numpy as np

from tftransfer.report.canvas import (
    BLUE,
    GREY,
    VERMILION,
    check_figure_path,
    make_figure,
    save_figure,
)

MOST_PANELS = 3
MOST_MARKED = 40  # epochs; beyond, markers run into each other
# How names of metrics end that are better the lower; "mae" is a name in Keras, too.
FALLING = ("loss", "error", "mae", "mape", "mse", "msle", "crossentropy", "divergence")


def plot_history(history, path, *, stages=None):
    """Draw the curves of a training run to a file.

    Args:
        history: A keras `History`, or its dictionary of one list for each metric.
        path: Image file to write or replace: PNG, PDF or SVG.
        stages: Epochs at which stages begin, counted from 0; None takes
            `history.stages` where there is one.

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: If there is no epoch to draw, or `path` is of another kind.

    Example:

    >>> import os, tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = os.path.join(folder.name, "history.png")
    >>> plot_history({"loss": [2.0, 1.0], "val_loss": [2.1, 1.4]}, path)
    >>> os.path.exists(path)
    True
    >>> folder.cleanup()
    """
    check_figure_path(path)
    save_figure(build_history_figure(history, stages=stages), path)


def build_history_figure(history, *, stages=None):
    """Build the figure that `plot_history` writes.

    Args:
        history: See `plot_history`.
        stages: See `plot_history`.

    Returns:
        A `matplotlib.figure.Figure` with one panel for the loss and one for each of
        the first two metrics.
    """
    curves = getattr(history, "history", history)
    names = _panel_names(curves)
    if stages is None:
        stages = getattr(history, "stages", None) or ()
    figure = make_figure(12, 4.6)
    panels = figure.subplots(1, len(names), squeeze=False)[0]
    for panel, name in zip(panels, names, strict=True):
        _draw_curves(panel, name, curves)
        _draw_stages(panel, [stage for stage in stages if stage > 0])
    return figure


def _panel_names(curves):
    drawn = curves if isinstance(curves, dict) else {}
    # What no `val_` stands before was measured in training; rates are no measure.
    names = [
        name
        for name, values in drawn.items()
        if not name.startswith("val_") and "learning_rate" not in name and len(values)
    ]
    if not names:
        raise ValueError(
            "`history` must hold at least one epoch of a metric, such as 'loss'. "
            f"Received: history={curves!r}. Pass what fit or fine_tune returned."
        )
    return sorted(names, key=lambda name: name != "loss")[:MOST_PANELS]


def _draw_curves(panel, name, curves):
    best = ""
    for key, color, label in (
        (name, BLUE, "train"),
        (f"val_{name}", VERMILION, "validation"),
    ):
        values = np.asarray(curves.get(key, ()), float)
        if values.size:
            epochs = np.arange(1, values.size + 1)
            marker = "o" if values.size <= MOST_MARKED else None
            panel.plot(
                epochs, values, color=color, label=label, marker=marker, markersize=4
            )
            best = _best(name, label, values)
    title = f"{name.replace('_', ' ')}\n{best}"
    panel.set_title(title, fontsize=12, parse_math=False)
    panel.set_xlabel("epoch", fontsize=11)
    panel.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    panel.set_xlim(0.5, max(len(curves[name]), 1) + 0.5)
    panel.grid(alpha=0.25)
    panel.spines[["top", "right"]].set_visible(False)
    panel.legend(fontsize=10, frameon=False)


def _best(name, label, values):
    if not np.isfinite(values).any():
        return f"no finite {label} value"
    falls = name.endswith(FALLING)
    best = int(np.nanargmin(values) if falls else np.nanargmax(values))
    return f"best {label} {values[best]:.4g} in epoch {best + 1}"


def _draw_stages(panel, stages):
    for number, epoch in enumerate(stages, start=2):
        # Between the last epoch of one stage and the first of the next.
        panel.axvline(epoch + 0.5, color=GREY, linestyle="--", linewidth=1)
        panel.annotate(
            f"stage {number}",
            (epoch + 0.5, 1),
            xycoords=panel.get_xaxis_transform(),
            xytext=(4, -2),
            textcoords="offset points",
            va="top",
            color=GREY,
            fontsize=9,
        )
