"""What the curves show: every value, the best one, where stages begin."""

import keras
import numpy as np
import pytest
from PIL import Image

from tftransfer.report.canvas import BLUE, VERMILION
from tftransfer.report.history import build_history_figure, plot_history

CURVES = {
    "accuracy": [0.5, 0.7, 0.8, 0.82],
    "loss": [1.0, 0.6, 0.4, 0.3],
    "val_accuracy": [0.5, 0.72, 0.71, 0.7],
    "val_loss": [1.1, 0.7, 0.65, 0.8],
    "learning_rate": [1e-3] * 4,
}


def stage_lines(panel):
    return [
        line.get_xdata()[0]
        for line in panel.get_lines()
        if line.get_linestyle() == "--"
    ]


def test_loss_comes_first_and_every_value_is_drawn():
    loss, accuracy = build_history_figure(CURVES).axes
    for panel, name in ((loss, "loss"), (accuracy, "accuracy")):
        lines = {line.get_label(): line for line in panel.get_lines()}
        assert set(lines) == {"train", "validation"}
        for label, key, color in (
            ("train", name, BLUE),
            ("validation", f"val_{name}", VERMILION),
        ):
            assert lines[label].get_xdata().tolist() == [1, 2, 3, 4]
            assert lines[label].get_ydata().tolist() == CURVES[key]
            assert lines[label].get_color() == color
        assert panel.get_xlabel() == "epoch"


def test_titles_name_the_best_validation_value():
    titles = [panel.get_title() for panel in build_history_figure(CURVES).axes]
    assert titles == [
        "loss\nbest validation 0.65 in epoch 3",
        "accuracy\nbest validation 0.72 in epoch 2",
    ]


def test_without_validation_the_best_training_value_is_named():
    figure = build_history_figure({"mean_absolute_error": [3.0, 2.0, 2.5]})
    expected = "mean absolute error\nbest train 2 in epoch 2"
    assert figure.axes[0].get_title() == expected
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == [
        "train"
    ]


def test_a_line_stands_where_a_stage_begins():
    for panel in build_history_figure(CURVES, stages=[0, 1, 3]).axes:
        assert stage_lines(panel) == [1.5, 3.5]
        assert [text.get_text() for text in panel.texts] == ["stage 2", "stage 3"]


def test_stages_are_read_from_the_history():
    history = keras.callbacks.History()
    history.history = CURVES
    assert stage_lines(build_history_figure(history).axes[0]) == []
    history.stages = [0, 2]
    assert stage_lines(build_history_figure(history).axes[0]) == [2.5]


def test_epochs_are_whole_numbers_on_the_axis(tmp_path):
    figure = build_history_figure({"loss": [1.0, 0.5]})
    figure.savefig(tmp_path / "drawn.png")
    ticks = [tick for tick in figure.axes[0].get_xticks() if 0.5 <= tick <= 2.5]
    assert ticks == [1, 2]


@pytest.mark.parametrize(
    ("name", "best"),
    [("mae", 1), ("rmse", 1), ("binary_crossentropy", 1), ("auc", 3), ("f1_score", 3)],
)
def test_what_is_best_depends_on_the_metric(name, best):
    figure = build_history_figure({name: [1.0, 2.0, 3.0]})
    assert figure.axes[0].get_title().endswith(f"best train {best} in epoch {best}")


def test_nan_epochs_leave_a_gap_and_all_nan_is_said():
    figure = build_history_figure({"loss": [1.0, np.nan], "accuracy": [np.nan, np.nan]})
    assert figure.axes[0].get_title().endswith("best train 1 in epoch 1")
    assert figure.axes[1].get_title().endswith("no finite train value")


def test_at_most_three_panels_are_drawn():
    curves = {name: [1.0] for name in ("a", "b", "c", "d", "loss")}
    titles = [p.get_title().split("\n")[0] for p in build_history_figure(curves).axes]
    assert titles == ["loss", "a", "b"]


def test_the_file_is_a_picture_of_1200_pixels(tmp_path):
    plot_history(CURVES, tmp_path / "history.png", stages=[2])
    with Image.open(tmp_path / "history.png") as image:
        assert image.size == (1200, 460)
        assert len(image.convert("RGB").getcolors(1_000_000)) > 50


def test_the_history_of_fit_is_drawn(rng):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(loss="mse", metrics=["mae"])
    history = model.fit(rng.random((8, 2)), rng.random((8, 1)), epochs=2, verbose=0)
    assert len(build_history_figure(history).axes) == 2


@pytest.mark.parametrize("history", [{}, {"loss": []}, None, {"val_loss": [1.0]}])
def test_a_history_without_epochs_is_refused(history):
    with pytest.raises(ValueError, match="at least one epoch.*Received: history="):
        build_history_figure(history)


def test_the_path_is_checked_before_drawing():
    with pytest.raises(ValueError, match="Received: path='history.txt'"):
        plot_history({}, "history.txt")
