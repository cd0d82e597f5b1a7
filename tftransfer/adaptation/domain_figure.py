"""Both domains in two dimensions, before and after, and the calls that differ."""

import dataclasses

import numpy as np

from tftransfer.methods.principal_components import find_components
from tftransfer.report.canvas import make_figure

_MOST_POINTS = 2000  # of each domain


@dataclasses.dataclass(frozen=True)
class Projection:
    """Rows of both domains on the two first principal components.

    Attributes:
        source: Float array `(n, 2)`, standardized source.
        before: Float array `(m, 2)`, target in source units, same axes.
        after: Float array `(m, 2)`, target in its own units, same axes.
    """

    source: np.ndarray
    before: np.ndarray
    after: np.ndarray


def project_domains(problem):
    """Return the `Projection` of a `Problem`, axes found on both domains together."""
    both = np.concatenate([problem.scaled_source, problem.target_by_source])
    components = find_components(both, 2)
    found = [
        np.pad(projected, ((0, 0), (0, 2 - projected.shape[1])))
        for projected in map(
            components,
            (problem.scaled_source, problem.target_by_source, problem.target_by_target),
        )
    ]
    return Projection(*found)


def draw_domains(projection, labels, control_labels, classes):
    """Draw a panel before, one after, and one of the calls that were changed.

    Args:
        projection: `Projection`.
        labels: Whole numbers `(m,)`, chosen.
        control_labels: Whole numbers `(m,)`.
        classes: Sequence of class names.

    Returns:
        `matplotlib.figure.Figure`, attached to no window.

    Raises:
        ImportError: If matplotlib is missing.
    """
    figure = make_figure(12, 4.2)
    panels = figure.subplots(1, 3)
    titles = ("in source units", "each domain in its own units")
    for panel, title, target in zip(
        panels, titles, (projection.before, projection.after), strict=False
    ):
        for rows, name in ((projection.source, "source"), (target, "target")):
            shown = _thin(len(rows))
            panel.scatter(*rows[shown].T, s=6, alpha=0.5, label=name, linewidths=0)
        panel.set_title(title)
        panel.legend(markerscale=2)
    _draw_changes(panels[2], projection.before, labels, control_labels, classes)
    for panel in panels:
        panel.set(xticks=[], yticks=[], xlabel="component 1", ylabel="component 2")
    return figure


def _draw_changes(panel, target, labels, control_labels, classes):
    changed = labels != control_labels
    shown = _thin(len(target))
    panel.scatter(*target[shown].T, s=6, color="0.8", linewidths=0)
    called = np.unique(labels[changed])
    for number, label in enumerate(called[:10]):
        rows = target[changed & (labels == label)]
        panel.scatter(*rows.T, s=12, color=f"C{number}", label=f"now {classes[label]}")
    panel.set_title(f"{changed.sum()} of {len(changed)} target calls changed")
    if len(called):
        for name in panel.legend(fontsize="small").get_texts():
            name.set_parse_math(False)  # a class may be called $


def _thin(count):
    """Places of at most so many rows, spread evenly."""
    return np.linspace(0, count - 1, min(count, _MOST_POINTS)).astype(int)
