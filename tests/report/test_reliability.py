"""What the picture of promises and what came of them says."""

import types

import numpy as np
import pytest
from PIL import Image

from tftransfer.evaluation.predictions import evaluate_predictions
from tftransfer.report.reliability import build_reliability_figure, plot_reliability


@pytest.fixture
def evaluation():
    # Sure by 0.9, twice right and twice wrong; sure by 0.6, once right.
    return evaluate_predictions([1, 1, 0, 0, 1], [0.9, 0.9, 0.9, 0.9, 0.6])


def dots(panel):
    (found,) = [x for x in panel.collections if hasattr(x, "get_sizes")]
    return found


def test_dots_are_what_came_at_what_was_promised(evaluation):
    figure = build_reliability_figure(evaluation, num_bins=10)
    upper, lower = figure.axes
    found = dots(upper)
    np.testing.assert_allclose(found.get_offsets(), [[0.6, 1.0], [0.9, 0.5]], atol=1e-6)
    assert found.get_sizes()[1] == pytest.approx(4 * found.get_sizes()[0])
    # 4/5 of 0.4 and 1/5 of 0.4.
    assert upper.get_title() == "Calibration error 40.0 %"
    assert upper.get_ylabel() == "share that is right"
    assert lower.get_xlabel() == "confidence"
    assert sum(bar.get_height() for bar in lower.patches) == 5


def test_gaps_lead_from_the_promise_to_what_came(evaluation):
    upper = build_reliability_figure(evaluation, num_bins=10).axes[0]
    intervals, gaps = (
        [line.tolist() for line in lines.get_segments()]
        for lines in upper.collections[:2]
    )
    np.testing.assert_allclose(gaps[1], [[0.9, 0.9], [0.9, 0.5]], atol=1e-6)
    # Wilson for 2 of 4.
    np.testing.assert_allclose(intervals[1], [[0.9, 0.15], [0.9, 0.85]], atol=1e-3)


def test_a_calibration_is_drawn_before_and_after(evaluation):
    calmer = evaluate_predictions([1, 1, 0, 0, 1], [0.5, 0.5, 0.5, 0.5, 0.6])
    calibration = types.SimpleNamespace(
        temperature=2.5, before=evaluation, after=calmer
    )
    figure = build_reliability_figure(calibration)
    titles = [panel.get_title() for panel in figure.axes[:2]]
    assert titles[0] == "as it was: calibration error 40.0 %"
    assert titles[1].startswith("temperature 2.50: calibration error")


def test_several_labels_are_counted_each():
    evaluation = evaluate_predictions(
        [[1, 0], [0, 1]], [[0.9, 0.2], [0.2, 0.9]], task="multi_label"
    )
    upper, lower = build_reliability_figure(evaluation).axes
    np.testing.assert_allclose(
        dots(upper).get_offsets(), [[0.2, 0.0], [0.9, 1.0]], atol=1e-6
    )
    assert upper.get_ylabel() == "share that is there"
    assert lower.get_ylabel() == "labels"


def test_bins_of_equal_mass_are_drawn_on_demand(evaluation):
    upper = build_reliability_figure(evaluation, num_bins=1, equal_mass=True).axes[0]
    np.testing.assert_allclose(dots(upper).get_offsets(), [[0.84, 0.6]], atol=1e-6)


@pytest.mark.parametrize(("count", "width"), [(1, 720), (2, 1200), (3, 1200)])
def test_the_file_is_a_picture(evaluation, tmp_path, count, width):
    named = {f"model $ {place}": evaluation for place in range(count)}
    plot_reliability(named, tmp_path / "reliability.png")
    with Image.open(tmp_path / "reliability.png") as image:
        assert image.format == "PNG"
        assert image.size[0] == width


def test_more_panels_than_fit_are_refused(evaluation):
    with pytest.raises(ValueError, match="Received: 4 of them"):
        build_reliability_figure(dict.fromkeys("abcd", evaluation))


def test_a_regression_is_refused():
    evaluation = evaluate_predictions([1.0, 2.0], [2.0, 1.0], task="regression")
    with pytest.raises(ValueError, match="Received: task='regression'"):
        build_reliability_figure(evaluation)


def test_the_path_is_checked_before_drawing():
    with pytest.raises(ValueError, match="Received: path='reliability.jpg'"):
        plot_reliability(None, "reliability.jpg")
