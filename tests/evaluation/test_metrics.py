"""Figures of a classifier against scikit-learn and figures worked by hand."""

import numpy as np
import pytest
import sklearn.metrics

from tftransfer.evaluation.metrics import (
    average_precision,
    confusion_matrix,
    expected_calibration_error,
    mean_of_defined,
    precision_recall_f1,
    roc_auc,
    wilson_interval,
)


@pytest.mark.parametrize(
    ("correct", "rows", "low", "high"),
    [
        # Newcombe 1998, table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_interval_equals_the_published_table(correct, rows, low, high):
    assert wilson_interval(correct, rows) == pytest.approx((low, high), abs=5e-5)


def test_wilson_interval_ends_solve_the_score_equation():
    z = 1.959963984540054
    for end in wilson_interval(37, 50):
        assert abs(37 / 50 - end) == pytest.approx(z * np.sqrt(end * (1 - end) / 50))


def test_wilson_interval_of_all_right_ends_at_one():
    low, high = wilson_interval(10, 10)
    assert high == 1.0
    assert low == pytest.approx(10 / (10 + 1.959963984540054**2))  # n / (n + z^2)


def test_wilson_interval_narrows_with_rows_and_less_confidence():
    def width(*args):
        low, high = wilson_interval(*args)
        return high - low

    assert width(800, 1000) < width(80, 100)
    assert width(80, 100, 0.9) < width(80, 100, 0.95)


def test_confusion_matrix_equals_scikit_learn_with_absent_classes(rng):
    labels, predictions = rng.integers(0, 4, 60), rng.integers(1, 5, 60)
    expected = sklearn.metrics.confusion_matrix(labels, predictions, labels=range(5))
    np.testing.assert_array_equal(confusion_matrix(labels, predictions, 5), expected)


def test_precision_recall_f1_equal_scikit_learn(rng):
    labels, predictions = rng.integers(0, 2, 80), rng.integers(0, 2, 80)
    expected = sklearn.metrics.precision_recall_fscore_support(
        labels, predictions, average="binary"
    )[:3]
    hits = int((labels * predictions).sum())
    ours = precision_recall_f1(hits, predictions.sum(), labels.sum())
    assert ours == pytest.approx(expected)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ((0, 0, 5), (None, 0.0, 0.0)),  # never predicted
        ((0, 5, 0), (0.0, None, 0.0)),  # no rows
        ((0, 0, 0), (None, None, None)),
    ],
)
def test_scores_without_a_denominator_are_none(counts, expected):
    assert precision_recall_f1(*counts) == expected


def test_mean_of_defined_skips_none_and_is_none_of_nothing():
    assert mean_of_defined([None, 0.2, 0.4]) == pytest.approx(0.3)
    assert mean_of_defined([None]) is None


@pytest.mark.parametrize("decimals", [1, 8], ids=["many ties", "no ties"])
def test_roc_auc_equals_scikit_learn(rng, decimals):
    labels, scores = rng.integers(0, 2, 200), rng.random(200).round(decimals)
    expected = sklearn.metrics.roc_auc_score(labels, scores)
    assert roc_auc(labels, scores) == pytest.approx(expected, abs=1e-12)


def test_roc_auc_equals_the_share_of_pairs_won(rng):
    labels, scores = rng.integers(0, 2, 40), rng.integers(0, 9, 40)
    difference = scores[labels == 1][:, None] - scores[labels == 0]
    won = (difference > 0).mean() + 0.5 * (difference == 0).mean()
    assert roc_auc(labels, scores) == pytest.approx(won)


def test_roc_auc_of_reversed_scores_is_the_complement(rng):
    labels, scores = rng.integers(0, 2, 50), rng.random(50)
    assert roc_auc(labels, -scores) == pytest.approx(1 - roc_auc(labels, scores))


@pytest.mark.parametrize("only", [0, 1])
def test_roc_auc_of_one_class_is_none(only):
    assert roc_auc([only] * 3, [0.1, 0.2, 0.3]) is None


@pytest.mark.parametrize("decimals", [1, 8], ids=["many ties", "no ties"])
def test_average_precision_equals_scikit_learn(rng, decimals):
    labels, scores = rng.integers(0, 2, 200), rng.random(200).round(decimals)
    expected = sklearn.metrics.average_precision_score(labels, scores)
    assert average_precision(labels, scores) == pytest.approx(expected, abs=1e-12)


def test_average_precision_of_equal_scores_is_the_share_of_positives():
    assert average_precision([1, 0, 0, 0], [0.5] * 4) == 0.25


def test_average_precision_without_positives_is_none():
    assert average_precision([0, 0], [0.1, 0.2]) is None


def test_calibration_error_by_hand():
    # Bin (11/15, 12/15]: confidences 0.75 and 0.8, one right: |1 - 1.55| = 0.55.
    # Bin (14/15, 1]: confidence 1.0, right: 0. Together 0.55 / 3 rows.
    positive = np.array([0.75, 0.2, 1.0])
    probabilities = np.stack([1 - positive, positive], axis=1)
    error = expected_calibration_error(np.array([1, 1, 1]), probabilities)
    assert error == pytest.approx(0.55 / 3)


def calibration_error_by_loop(labels, probabilities, num_bins):
    confidence, predicted = probabilities.max(axis=1), probabilities.argmax(axis=1)
    total = 0.0
    for m in range(num_bins):
        inside = (confidence > m / num_bins) & (confidence <= (m + 1) / num_bins)
        if inside.any():
            accuracy = (predicted == labels)[inside].mean()
            total += inside.mean() * abs(accuracy - confidence[inside].mean())
    return total


@pytest.mark.parametrize("num_bins", [1, 10, 15])
def test_calibration_error_equals_a_loop_over_the_bins(rng, num_bins):
    probabilities = rng.dirichlet(np.ones(4), 300)
    labels = rng.integers(0, 4, 300)
    assert expected_calibration_error(labels, probabilities, num_bins) == pytest.approx(
        calibration_error_by_loop(labels, probabilities, num_bins)
    )


def test_calibration_error_is_near_zero_when_chances_are_true(rng):
    positive = rng.random(200_000)
    labels = (rng.random(200_000) < positive).astype(int)
    probabilities = np.stack([1 - positive, positive], axis=1)
    assert expected_calibration_error(labels, probabilities) < 0.01


def test_calibration_error_puts_float32_values_on_an_edge_into_the_lower_bin():
    for edge in np.linspace(0, 1, 16)[8:]:
        values = np.array([[1 - edge, edge], [1 - edge, edge - 0.01]], np.float32)
        # Both rows in one bin: the gaps of a right and a wrong row cancel partly.
        error = expected_calibration_error(np.array([1, 0]), values)
        expected = abs(1 - (edge + edge - 0.01)) / 2
        assert error == pytest.approx(expected, abs=1e-6)
