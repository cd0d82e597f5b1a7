import builtins

import numpy as np
import pytest

from tftransfer.adaptation.domain_figure import draw_domains, project_domains


def test_domains_meet_in_target_units(moved):
    found = project_domains(moved[0])
    assert found.source.shape == (240, 2) and found.before.shape == (300, 2)

    def gap(rows):
        return np.linalg.norm(rows.mean(axis=0) - found.source.mean(axis=0))

    assert gap(found.after) < 1e-6 < 0.1 < gap(found.before)


def test_the_figure_shows_three_panels_and_the_changed_calls(moved):
    labels = np.arange(300) % 3
    figure = draw_domains(
        project_domains(moved[0]), labels, np.zeros(300, int), ["a", "b", "c"]
    )
    titles = [panel.get_title() for panel in figure.axes]
    assert titles == [
        "in source units",
        "each domain in its own units",
        "200 of 300 target calls changed",
    ]
    legend = figure.axes[2].get_legend().get_texts()
    assert [text.get_text() for text in legend] == ["now b", "now c"]
    figure.canvas.draw()


def test_features_of_one_column_are_drawn_too():
    from tftransfer.methods.problem import Problem

    rows = np.arange(30.0)[:, None]
    found = project_domains(Problem(rows, np.arange(30) % 2, rows + 3, 2))
    assert found.before.shape == (30, 2)


def test_without_matplotlib_the_pip_line_is_named(moved, monkeypatch):
    real = builtins.__import__

    def refuse(name, *rest):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ImportError, match='pip install "tftransfer\\[demo\\]"'):
        draw_domains(None, None, None, None)
