"""Labels and predictions of every form, and the refusals that name the row."""

import numpy as np
import pytest

from tftransfer.evaluation.arrays import read_labels, read_probabilities
from tftransfer.tasks import Task

THREE = Task("classification", 3)
BINARY = Task("classification", 1)
LABELS = Task("multi_label", 2)
VALUES = Task("regression", 2)


@pytest.mark.parametrize(
    "labels",
    [
        [0, 2, 1],
        [[0], [2], [1]],
        np.array([0, 2, 1], "uint8"),
        np.array([0.0, 2.0, 1.0], "float32"),
        np.eye(3)[[0, 2, 1]],
    ],
    ids=["ints", "column", "uint8", "whole floats", "one-hot"],
)
def test_class_labels_of_every_form_become_numbers(labels):
    read = read_labels(labels, THREE)
    assert read.tolist() == [0, 2, 1]
    assert read.dtype.kind == "i"


@pytest.mark.parametrize("labels", [[0, 1], [False, True], [[0.0], [1.0]]])
def test_binary_labels_of_every_form_become_numbers(labels):
    assert read_labels(labels, BINARY).tolist() == [0, 1]


def test_multi_label_and_regression_labels_keep_their_columns():
    assert read_labels([[0.0, 1.0]], LABELS).tolist() == [[0, 1]]
    assert read_labels([[0.5, -3]], VALUES).tolist() == [[0.5, -3.0]]
    assert read_labels([1.5, 2.5], Task("regression", 1)).shape == (2, 1)
    assert read_labels([1, 0], Task("multi_label", 1)).shape == (2, 1)


def test_labels_outside_the_classes_are_listed():
    with pytest.raises(
        ValueError,
        match=r"whole numbers in 0\.\.2. Received: labels=\[-1, 3\] \(first in row 1\)",
    ):
        read_labels([0, 3, -1, 3], THREE)


def test_many_labels_outside_the_classes_are_counted():
    with pytest.raises(ValueError, match=r"17\] and 5 more \(first in row 8\)"):
        read_labels(np.arange(23), Task("classification", 8))


def test_a_fraction_is_no_class():
    with pytest.raises(ValueError, match=r"Received: labels=\[0\.5\]"):
        read_labels([0.0, 0.5], THREE)


def test_a_nan_is_no_class():
    with pytest.raises(ValueError, match=r"Received: labels=\[nan\]"):
        read_labels([0.0, np.nan], THREE)


def test_class_names_as_labels_are_refused():
    with pytest.raises(TypeError, match="Received: labels of dtype <U3"):
        read_labels(["cat", "dog"], THREE)


def test_soft_labels_are_refused():
    with pytest.raises(ValueError, match=r"one-hot rows.*Received: labels=\[\[0.1, "):
        read_labels([[1, 0, 0], [0.1, 0.9, 0.0]], THREE)


def test_labels_of_several_classes_are_pointed_to_multi_label():
    with pytest.raises(
        ValueError, match=r"Received: labels.shape=\(1, 5\).*multi_label"
    ):
        read_labels(np.zeros((1, 5)), THREE)


def test_multi_label_labels_other_than_zero_and_one_are_refused():
    with pytest.raises(ValueError, match=r"0 or 1. Received: labels=\[2\]"):
        read_labels([[0, 1], [2, 0]], LABELS)


@pytest.mark.parametrize("task", [LABELS, VALUES])
def test_labels_of_the_wrong_width_are_refused(task):
    with pytest.raises(
        ValueError, match=r"\(rows, 2\).*Received: labels.shape=\(4, 3\)"
    ):
        read_labels(np.zeros((4, 3)), task)


def test_regression_labels_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match=r"finite numbers. Received: labels=\[nan\]"):
        read_labels([[0.0, np.nan]], VALUES)


@pytest.mark.parametrize("values", [[0.25, 0.75], [[0.25], [0.75]]])
def test_one_probability_becomes_two_columns(values):
    expected = [[0.75, 0.25], [0.25, 0.75]]
    assert read_probabilities(values, BINARY).tolist() == expected
    assert read_probabilities(values, Task("classification", 2)).tolist() == expected


def test_probabilities_keep_float64_and_widen_float16():
    rows = [[0.2, 0.3, 0.5]]
    assert read_probabilities(np.array(rows), THREE).dtype == np.float64
    assert read_probabilities(np.array(rows, "float16"), THREE).dtype == np.float32


def test_nan_predictions_are_refused_with_their_row():
    values = np.full((4, 3), 1 / 3)
    values[2, 1] = np.nan
    values[3] = np.inf
    with pytest.raises(
        ValueError, match=r"Received: NaN or infinity in 2 of 4 rows \(first in row 2\)"
    ):
        read_probabilities(values, THREE)


@pytest.mark.parametrize("shape", [(4, 2), (4,), (4, 3, 1)])
def test_predictions_of_the_wrong_shape_are_refused(shape):
    with pytest.raises(ValueError, match=r"Received: probabilities.shape=\(4"):
        read_probabilities(np.zeros(shape), THREE)


def test_rows_that_do_not_sum_to_one_are_refused():
    with pytest.raises(ValueError, match="Received: sum 1.2 in row 1"):
        read_probabilities([[0.2, 0.3, 0.5], [0.6, 0.3, 0.3]], THREE)


@pytest.mark.parametrize("task", [THREE, Task("multi_label", 3)])
def test_logits_are_refused(task):
    with pytest.raises(ValueError, match="Received: values from -1 to 3.*from_logits"):
        read_probabilities([[-1.0, 3.0, -1.0]], task)


def test_float16_softmax_rows_are_taken(rng):
    values = rng.dirichlet(np.ones(1000), 5).astype("float16")
    assert read_probabilities(values, Task("classification", 1000)).shape == (5, 1000)


def test_regression_values_may_be_anything_finite():
    assert read_probabilities([[-5.0, 900.0]], VALUES).tolist() == [[-5.0, 900.0]]
