"""What the picture of a confusion matrix says."""

import numpy as np
import pytest
from PIL import Image

from tftransfer.evaluation.predictions import evaluate_predictions
from tftransfer.report.confusion import build_confusion_figure, plot_confusion


def found(num_classes, **options):
    labels = np.arange(4 * num_classes) % num_classes
    predicted = np.where(np.arange(4 * num_classes) < num_classes, 0, labels)
    return evaluate_predictions(labels, np.eye(num_classes)[predicted], **options)


def texts(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def test_cells_hold_counts_and_shares_of_the_row():
    evaluation = evaluate_predictions(
        [0, 0, 0, 1], [0.1, 0.2, 0.9, 0.8], class_names=["good", "bad"]
    )
    figure = build_confusion_figure(evaluation)
    panel = figure.axes[0]
    assert texts(figure) == ["2\n66.7 %", "1\n33.3 %", "0\n0.0 %", "1\n100.0 %"]
    np.testing.assert_allclose(
        panel.images[0].get_array(), [[2 / 3, 1 / 3], [0, 1]], rtol=1e-6
    )
    assert [text.get_position() for text in panel.texts] == [
        (0, 0),
        (1, 0),
        (0, 1),
        (1, 1),
    ]


def test_axes_and_title_are_named():
    evaluation = found(3, class_names=["cat", "dog", "$5 owl"])
    panel = build_confusion_figure(evaluation).axes[0]
    assert panel.get_xlabel() == "prediction"
    assert panel.get_ylabel() == "label (rows)"
    assert [t.get_text() for t in panel.get_xticklabels()] == ["cat", "dog", "$5 owl"]
    assert [t.get_text() for t in panel.get_yticklabels()] == [
        "cat (4)",
        "dog (4)",
        "$5 owl (4)",
    ]
    assert not any(label.get_parse_math() for label in panel.get_xticklabels())
    # 10 of 12 right.
    assert panel.get_title() == (
        "Confusion matrix of 12 rows\naccuracy 83.3 % (95 % interval 55.2 to 95.3 %)"
    )


def test_text_on_dark_cells_is_white():
    panel = build_confusion_figure(found(2)).axes[0]
    colors = {text.get_text(): text.get_color() for text in panel.texts}
    assert colors["4\n100.0 %"] == "white"
    assert colors["1\n25.0 %"] == "black"


@pytest.mark.parametrize(
    ("num_classes", "first", "num_named"),
    [(14, "4\n100.0 %", 14), (20, "4", 20), (40, None, 40), (120, None, 40)],
)
def test_many_classes_lose_detail_rather_than_legibility(num_classes, first, num_named):
    figure = build_confusion_figure(found(num_classes))
    assert (texts(figure) or [None])[0] == first
    assert len(figure.axes[0].get_xticklabels()) == num_named
    assert min(t.get_fontsize() for t in figure.axes[0].get_xticklabels()) >= 7


def test_a_class_without_rows_is_blank_not_nan():
    evaluation = evaluate_predictions([0, 0], np.eye(3)[[0, 2]])
    figure = build_confusion_figure(evaluation)
    assert np.isfinite(figure.axes[0].images[0].get_array()).all()
    assert texts(figure)[3] == "0\n0.0 %"


def test_long_names_are_shortened():
    evaluation = found(2, class_names=["a" * 40, "b"])
    label = build_confusion_figure(evaluation).axes[0].get_xticklabels()[0]
    assert label.get_text() == "a" * 23 + "…"


@pytest.mark.parametrize(("num_classes", "height"), [(2, 960), (10, 1050)])
def test_the_file_is_a_picture_of_1200_pixels(tmp_path, num_classes, height):
    plot_confusion(found(num_classes), tmp_path / "confusion.png")
    with Image.open(tmp_path / "confusion.png") as image:
        assert image.format == "PNG"
        assert image.size == (1200, height)


def test_other_tasks_are_refused():
    evaluation = evaluate_predictions([1.0], [2.0], task="regression")
    with pytest.raises(ValueError, match="Received: task='regression'"):
        build_confusion_figure(evaluation)


def test_the_path_is_checked_before_drawing():
    with pytest.raises(ValueError, match="Received: path='confusion.jpg'"):
        plot_confusion(None, "confusion.jpg")
