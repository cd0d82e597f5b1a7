import numpy as np
import pytest

from tftransfer.ranking import h_score, knn, linear_probe, logme
from tftransfer.ranking.inputs import read_classes

each_score = pytest.mark.parametrize("score", [h_score, knn, linear_probe, logme])
each_with_task = pytest.mark.parametrize("score", [knn, linear_probe, logme])
FEATURES = np.arange(24.0).reshape(12, 2) ** 2
LABELS = np.arange(12) % 2


@each_score
def test_nan_is_refused_with_its_row(score):
    bad = FEATURES.copy()
    bad[3, 1] = np.nan
    with pytest.raises(
        ValueError, match="Received: features with NaN .* first in row 3"
    ):
        score(bad, LABELS)


@each_score
@pytest.mark.parametrize(
    "bad", [FEATURES[:1], FEATURES[:, 0], FEATURES.astype(str), FEATURES[None]]
)
def test_what_are_no_rows_of_features_is_refused(score, bad):
    with pytest.raises(ValueError, match="Received: features of shape .* and dtype"):
        score(bad, LABELS)


@each_score
@pytest.mark.parametrize("value", [0.0, 2.5])
def test_features_that_are_all_the_same_are_refused(score, value):
    with pytest.raises(ValueError, match=r"shape \(12, 2\), every row the same. Check"):
        score(np.full((12, 2), value), LABELS)


@each_score
def test_one_class_is_refused(score):
    with pytest.raises(
        ValueError, match="Received: labels with class 4 alone, in 12 r"
    ):
        score(FEATURES, np.full(12, 4))


@each_score
@pytest.mark.parametrize(
    "bad", [LABELS[:5], LABELS.astype(float), np.eye(2)[LABELS], -LABELS, [*"ab" * 6]]
)
def test_what_are_no_class_numbers_is_refused(score, bad):
    with pytest.raises(ValueError, match="Received: labels of shape"):
        score(FEATURES, bad)


@each_with_task
@pytest.mark.parametrize("bad", [LABELS[:5], np.ones((12, 2, 1)), [*"ab" * 6], []])
def test_what_are_no_values_is_refused(score, bad):
    with pytest.raises(
        ValueError, match=r"Received: labels of shape .* Pass the values"
    ):
        score(FEATURES, bad, task="regression")


@each_with_task
def test_values_that_are_not_finite_are_refused(score):
    bad = np.where(np.arange(12) == 4, np.inf, 1.0)
    with pytest.raises(ValueError, match="Received: labels with NaN .* first in row 4"):
        score(FEATURES, bad, task="regression")


@each_with_task
def test_values_that_do_not_vary_are_refused(score):
    bad = np.stack([np.arange(12.0), np.full(12, 7.0)], axis=1)
    with pytest.raises(
        ValueError, match="same value in all rows, 7, in column 1. Drop"
    ):
        score(FEATURES, bad, task="regression")


@each_with_task
def test_another_task_is_refused(score):
    with pytest.raises(ValueError, match="Received: task='multi_label'"):
        score(FEATURES, LABELS, task="multi_label")


@each_score
def test_float32_and_whole_numbers_are_taken(score):
    found = score(FEATURES.astype(int), LABELS.astype("int32"))
    assert found == score(FEATURES.astype("float32"), LABELS)


def test_classes_are_numbered_without_gaps():
    classes, count = read_classes([7, 2, 7, 9], 4)
    assert classes.tolist() == [1, 0, 1, 2] and count == 3
