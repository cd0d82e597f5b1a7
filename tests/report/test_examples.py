"""Which images are drawn, and what stands over them."""

import numpy as np
import pytest
from PIL import Image

from tftransfer.evaluation.predictions import evaluate_predictions
from tftransfer.report.canvas import BLUE, VERMILION
from tftransfer.report.examples import (
    build_examples_figure,
    choose_examples,
    plot_examples,
)

# Label, probability of class 1: rows 1 and 4 are wrong, row 4 with more confidence.
LABELS = [0, 0, 1, 1, 1]
POSITIVE = [0.1, 0.6, 0.9, 0.7, 0.05]


@pytest.fixture
def evaluation():
    return evaluate_predictions(LABELS, POSITIVE, class_names=["good", "bad"])


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (5, 6, 7, 3), dtype="uint8")


def drawn(figure):
    """Title, pixels and frame color of every tile."""
    return [
        (
            panel.get_title(),
            np.asarray(panel.images[0].get_array()),
            panel.spines["top"].get_edgecolor(),
        )
        for part in figure.subfigs
        for panel in part.axes
        if panel.images
    ]


def test_right_rows_take_classes_in_turn_and_wrong_ones_go_by_confidence(evaluation):
    chosen = choose_examples(evaluation.labels, evaluation.probabilities)
    assert chosen == ([0, 2, 3], [4, 1])


def test_few_examples_still_show_every_class():
    labels = np.repeat([0, 1, 2], 50)
    right, wrong = choose_examples(labels, np.eye(3)[labels], 6)
    assert right == [0, 50, 100, 1, 51, 101]
    assert wrong == []


def test_tiles_hold_the_images_with_titles(evaluation, images):
    tiles = drawn(build_examples_figure(images, evaluation))
    assert [title for title, _, _ in tiles] == [
        "good, 90.0 %",
        "bad, 90.0 %",
        "bad, 70.0 %",
        "taken for good, 95.0 %\nlabel: bad",
        "taken for bad, 60.0 %\nlabel: good",
    ]
    for (_, pixels, _), row in zip(tiles, [0, 2, 3, 4, 1], strict=True):
        np.testing.assert_array_equal(pixels, images[row])


def test_frames_tell_right_from_wrong_without_red_and_green(evaluation, images):
    from matplotlib.colors import to_rgba

    colors = [color for _, _, color in drawn(build_examples_figure(images, evaluation))]
    assert colors == [to_rgba(BLUE)] * 3 + [to_rgba(VERMILION)] * 2


def test_headings_count_all_rows(evaluation, images):
    figure = build_examples_figure(images, evaluation, num_examples=2)
    assert [part.get_suptitle() for part in figure.subfigs] == [
        "Right: 3 of 5, 2 shown, classes in turn",
        "Wrong: 2 of 5, most confident first",
    ]


def test_nothing_wrong_is_said(images):
    figure = build_examples_figure(images, (np.array(LABELS), np.eye(2)[LABELS]))
    assert figure.subfigs[1].get_suptitle() == "None of 5 is wrong"


def test_plain_arrays_and_a_dictionary_of_the_chosen_rows_draw_the_same(
    evaluation, images
):
    expected = drawn(build_examples_figure(images, evaluation, num_examples=1))
    some = {0: images[0], 4: images[4]}
    pair = (LABELS, evaluation.probabilities)
    figure = build_examples_figure(
        some, pair, class_names=["good", "bad"], num_examples=1
    )
    for one, other in zip(drawn(figure), expected, strict=True):
        assert one[0] == other[0]
        np.testing.assert_array_equal(one[1], other[1])


@pytest.mark.parametrize(
    ("shape", "shown"), [((1, 9, 1), (1, 9)), ((4, 5, 4), (4, 5, 3)), ((1, 1, 3),) * 2]
)
def test_grey_and_transparent_images_are_drawn(shape, shown):
    image = np.full(shape, 300.0)
    figure = build_examples_figure([image], ([0], np.array([[1.0, 0.0]])))
    ((_, pixels, _),) = drawn(figure)
    assert pixels.shape == shown
    assert pixels.max() == 255


def test_images_may_differ_in_size(evaluation, rng, tmp_path):
    images = [rng.integers(0, 256, (5 + row, 20 - row, 3)) for row in range(5)]
    plot_examples(images, evaluation, tmp_path / "examples.png")
    with Image.open(tmp_path / "examples.png") as image:
        assert image.format == "PNG"
        assert image.size == (1200, 770)


def test_dollar_signs_in_names_are_no_formula(images):
    figure = build_examples_figure(
        images, (LABELS, np.eye(2)[LABELS]), class_names=["$1", "$2 $"]
    )
    panel = figure.subfigs[0].axes[0]
    assert panel.get_title() == "$1, 100.0 %"
    assert not panel.title.get_parse_math()


def test_another_number_of_images_is_refused(evaluation, images):
    with pytest.raises(ValueError, match="Received: 4 images, 5 labels"):
        build_examples_figure(images[:4], evaluation)


def test_a_missing_row_is_named(evaluation, images):
    with pytest.raises(ValueError, match=r"no image for rows \[4\].*choose_examples"):
        build_examples_figure({0: images[0]}, evaluation, num_examples=1)


@pytest.mark.parametrize("shape", [(5, 6, 7), (5, 6, 7, 2)])
def test_what_is_no_image_is_refused(evaluation, shape):
    with pytest.raises(ValueError, match=r"Received: shape \(6, 7.* in row 0"):
        build_examples_figure(np.zeros(shape), evaluation)


def test_scaled_pixels_are_refused(evaluation, rng):
    with pytest.raises(ValueError, match=r"0\.\.255. Received: no value above 1"):
        build_examples_figure(rng.random((5, 6, 7, 3)), evaluation)


def test_other_tasks_are_refused(images):
    evaluation = evaluate_predictions([1.0] * 5, [2.0] * 5, task="regression")
    with pytest.raises(ValueError, match="Received: task='regression'"):
        build_examples_figure(images, evaluation)


def test_arrays_that_do_not_fit_are_refused(images):
    with pytest.raises(ValueError, match=r"probabilities.shape=\(5,\), 2 class names"):
        build_examples_figure(
            images, (np.array(LABELS), np.array(POSITIVE)), class_names=["a", "b"]
        )


def test_the_number_of_examples_is_checked(evaluation, images):
    with pytest.raises(ValueError, match="Received: num_examples=0"):
        build_examples_figure(images, evaluation, num_examples=0)


def test_the_path_is_checked_before_drawing():
    with pytest.raises(ValueError, match="Received: path='examples'"):
        plot_examples([], ([], []), "examples")
