"""What the picture of a ranking says."""

import types

import pytest
from matplotlib.colors import to_hex
from PIL import Image

from tftransfer.report.canvas import BLUE, VERMILION
from tftransfer.report.ranking import build_ranking_figure, plot_ranking


@pytest.fixture
def ranking():
    rows = [
        {"name": "large", "knn": 0.8, "rows_per_second": 20.0},
        {"name": "small", "knn": 0.7, "rows_per_second": 400.0},
        {"name": "other", "knn": None, "rows_per_second": 50.0},
    ]
    return types.SimpleNamespace(
        rows=rows,
        best="large",
        sort_by="knn",
        task="classification",
        num_rows=1200,
    )


def test_each_backbone_lies_at_its_speed_and_score(ranking):
    (panel,) = build_ranking_figure(ranking).axes
    places = {text.get_text(): text.xy for text in panel.texts}
    assert places == {"large": (20.0, 0.8), "small": (400.0, 0.7)}
    colors = [to_hex(line.get_color()) for line in panel.lines]
    assert colors == [to_hex(VERMILION), to_hex(BLUE)]
    assert panel.get_xscale() == "log"
    assert panel.get_ylabel() == "knn"
    assert panel.get_title() == "classification, 1,200 rows"


def test_the_file_is_written_and_other_kinds_are_refused(ranking, tmp_path):
    plot_ranking(ranking, tmp_path / "ranking.png")
    with Image.open(tmp_path / "ranking.png") as image:
        assert image.size == (800, 500)
    with pytest.raises(ValueError, match="`path` must end in one of.*ranking.gif"):
        plot_ranking(ranking, tmp_path / "ranking.gif")
