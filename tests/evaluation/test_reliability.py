import numpy as np
import pytest
import sklearn.metrics

from tftransfer.evaluation.metrics import expected_calibration_error
from tftransfer.evaluation.reliability import (
    brier_score,
    confidence_and_outcome,
    reliability_bins,
)


@pytest.fixture
def rows(rng):
    probabilities = rng.dirichlet(np.ones(4), 300)
    return rng.integers(0, 4, 300), probabilities


def test_bins_of_equal_width_by_hand():
    # Upper ends 0.25, 0.5, 0.75, 1: the first bin is empty.
    bins = reliability_bins([0.3, 0.5, 0.6, 0.9, 1.0], [1, 0, 1, 1, 0], 4)
    assert bins.counts.tolist() == [0, 2, 1, 2]
    np.testing.assert_allclose(bins.confidence, [np.nan, 0.4, 0.6, 0.95])
    np.testing.assert_allclose(bins.frequency, [np.nan, 0.5, 1.0, 0.5])
    # (2 * 0.1 + 1 * 0.4 + 2 * 0.45) / 5
    assert bins.error == pytest.approx(0.3)


def test_bins_of_equal_mass_by_hand():
    # Sorted 0.3 0.5 | 0.6 0.9 1.0: of five rows the second bin gets one more.
    bins = reliability_bins(
        [0.9, 0.5, 0.3, 1.0, 0.6], [1, 0, 1, 0, 1], 2, equal_mass=True
    )
    assert bins.counts.tolist() == [3, 2]
    np.testing.assert_allclose(bins.confidence, [1.4 / 3, 0.95])
    np.testing.assert_allclose(bins.frequency, [2 / 3, 0.5])


def test_bins_of_equal_mass_hold_equally_many_rows(rng):
    bins = reliability_bins(rng.random(150), rng.random(150) < 0.5, 15, equal_mass=True)
    assert bins.counts.tolist() == [10] * 15


def test_equal_confidences_share_a_bin_whatever_their_order(rng):
    confidence, outcome = rng.random(60).round(1), rng.integers(0, 2, 60)
    order = rng.permutation(60)
    first = reliability_bins(confidence, outcome, 5, equal_mass=True)
    second = reliability_bins(confidence[order], outcome[order], 5, equal_mass=True)
    np.testing.assert_array_equal(first.counts, second.counts)
    np.testing.assert_allclose(first.frequency, second.frequency)
    assert first.counts.sum() == 60


@pytest.mark.parametrize("equal_mass", [False, True])
def test_fewer_rows_than_bins_are_each_one_bin(equal_mass):
    bins = reliability_bins([0.1, 0.9], [0, 1], 15, equal_mass=equal_mass)
    assert sorted(bins.counts.tolist())[-2:] == [1, 1]
    assert bins.error == pytest.approx(0.1)


def test_one_bin_compares_the_two_means_however_it_is_made(rows):
    labels, probabilities = rows
    right = (probabilities.argmax(axis=1) == labels).mean()
    expected = abs(right - probabilities.max(axis=1).mean())
    for equal_mass in (False, True):
        found = expected_calibration_error(
            labels, probabilities, 1, equal_mass=equal_mass
        )
        assert found == pytest.approx(expected)


def test_calibration_error_with_equal_mass_equals_a_loop(rows):
    labels, probabilities = rows
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    total = 0.0
    for rows_of_bin in np.array_split(np.argsort(confidence), 15):  # 20 rows each
        gap = right[rows_of_bin].mean() - confidence[rows_of_bin].mean()
        total += abs(gap) * len(rows_of_bin) / 300
    found = expected_calibration_error(labels, probabilities, equal_mass=True)
    assert found == pytest.approx(total)


def test_several_labels_are_counted_each():
    confidence, outcome = confidence_and_outcome(
        np.array([[1, 0], [0, 1]]), np.array([[0.9, 0.2], [0.3, 0.4]]), "multi_label"
    )
    assert confidence.tolist() == [0.9, 0.2, 0.3, 0.4]
    assert outcome.tolist() == [1, 0, 0, 1]


def test_a_regression_promises_nothing():
    with pytest.raises(ValueError, match="Received: task='regression'"):
        confidence_and_outcome([1.0], [[1.0]], "regression")


def test_brier_score_of_two_classes_is_twice_that_of_scikit_learn(rng):
    labels, positive = rng.integers(0, 2, 50), rng.random(50)
    found = brier_score(labels, np.stack([1 - positive, positive], axis=1))
    expected = sklearn.metrics.brier_score_loss(labels, positive)
    assert found == pytest.approx(2 * expected)


def test_brier_score_of_several_labels_is_the_mean_over_them(rng):
    labels, probabilities = rng.integers(0, 2, (50, 3)), rng.random((50, 3))
    expected = np.mean(
        [
            sklearn.metrics.brier_score_loss(labels[:, k], probabilities[:, k])
            for k in range(3)
        ]
    )
    assert brier_score(labels, probabilities) == pytest.approx(expected)


def test_brier_score_lies_between_certainty_right_and_wrong():
    assert brier_score([0], [[1.0, 0.0]]) == 0.0
    assert brier_score([1], [[1.0, 0.0]]) == 2.0
