"""What every figure shares: an empty page, colors, and a file that is whole."""

from pathlib import Path

from tftransfer.writing import replace_when_whole

# Okabe & Ito, 2008: told apart with every kind of color vision.
BLUE, VERMILION, GREY = "#0072B2", "#D55E00", "#666666"
FORMATS = (".pdf", ".png", ".svg")


def make_figure(width, height):
    """Return an empty `matplotlib.figure.Figure` of `width` by `height` inches.

    It belongs to no window and to no global state, so that a user's own plots are
    left alone. At 100 points to the inch, 12 inches are 1200 pixels.

    Raises:
        ImportError: If matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
        from matplotlib.layout_engine import ConstrainedLayoutEngine
    except ImportError as error:
        raise ImportError(
            "Figures need matplotlib, which is not installed. "
            'Run: pip install "tftransfer[demo]"'
        ) from error
    layout = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.12)  # margins, in inches
    return Figure(figsize=(width, height), dpi=100, layout=layout)


def check_figure_path(path):
    """Raise `ValueError` unless `path` ends in one of `FORMATS`."""
    if Path(path).suffix.lower() not in FORMATS:
        raise ValueError(
            f"`path` must end in one of {list(FORMATS)}. "
            f"Received: path={str(path)!r}. For example history.png."
        )


def save_figure(figure, path):
    """Write a figure to `path`, replacing a file that is there only when it is whole.

    Args:
        figure: A `matplotlib.figure.Figure`.
        path: File that ends in one of `FORMATS`.
    """
    check_figure_path(path)
    with replace_when_whole(path, overwrite=True) as partial:
        figure.savefig(partial, facecolor="white")


def shorten(name, longest):
    """Return a name with at most so many characters, its end cut off."""
    return name if len(name) <= longest else f"{name[: longest - 1]}…"


def finish_panel(panel, xlabel, ylabel, title):
    """Name the axes of a panel and give it a light grid, without the outer frame."""
    panel.set_xlabel(xlabel, fontsize=11)
    panel.set_ylabel(ylabel, fontsize=11)
    panel.set_title(title, fontsize=12)
    panel.grid(alpha=0.25)
    panel.spines[["top", "right"]].set_visible(False)
