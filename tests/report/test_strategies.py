"""What the picture of strategies says."""

import types

import pytest
from PIL import Image

from tftransfer.report.strategies import build_strategies_figure, plot_strategies


@pytest.fixture
def comparison():
    rows = [
        {"strategy": "full", "mean": 0.8, "interval": (0.75, 0.85), "minutes": 4.0},
        {"strategy": "head_only", "mean": 0.7, "interval": None, "minutes": 0.5},
        {"strategy": "from_scratch", "mean": 0.4, "interval": (0.3, 0.5), "minutes": 4},
    ]
    return types.SimpleNamespace(
        rows=rows, metric="accuracy", epochs=9, seeds=(0, 1, 2)
    )


def test_each_strategy_lies_at_its_minutes_and_accuracy(comparison):
    (panel,) = build_strategies_figure(comparison).axes
    places = {text.get_text(): text.xy for text in panel.texts}
    assert places == {
        "full": (4.0, 0.8),
        "head only": (0.5, 0.7),
        "from scratch": (4, 0.4),
    }
    assert panel.get_title() == "9 epochs each, 3 seeds"
    assert panel.get_xlim()[0] == 0


def test_intervals_and_the_line_of_the_control_are_drawn(comparison):
    (panel,) = build_strategies_figure(comparison).axes
    bars = [lines.get_segments()[0][:, 1] for lines in panel.collections]
    assert [pair.tolist() for pair in bars] == [
        pytest.approx([0.75, 0.85]),
        pytest.approx([0.7, 0.7]),
        pytest.approx([0.3, 0.5]),
    ]
    dashed = [line for line in panel.lines if line.get_linestyle() == "--"]
    assert [line.get_ydata()[0] for line in dashed] == [0.4]


def test_the_file_is_written_and_other_kinds_are_refused(comparison, tmp_path):
    plot_strategies(comparison, tmp_path / "strategies.png")
    with Image.open(tmp_path / "strategies.png") as image:
        assert image.size == (800, 500)
    with pytest.raises(ValueError, match="`path` must end in one of.*strategies.gif"):
        plot_strategies(comparison, tmp_path / "strategies.gif")
