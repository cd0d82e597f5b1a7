"""Figures of a regression against scikit-learn, and what the bootstrap promises."""

import numpy as np
import pytest
import sklearn.metrics

from tftransfer.evaluation.regression import bootstrap_intervals, regression_metrics


@pytest.fixture
def values(rng):
    labels = rng.normal(50, 10, (120, 3))
    return labels, labels + rng.normal(0, 4, (120, 3))


def test_metrics_equal_scikit_learn(values):
    figures = regression_metrics(*values)
    for name, function in {
        "mean_absolute_error": sklearn.metrics.mean_absolute_error,
        "root_mean_squared_error": sklearn.metrics.root_mean_squared_error,
        "r2": sklearn.metrics.r2_score,
    }.items():
        expected = function(*values, multioutput="raw_values")
        np.testing.assert_allclose(figures[name], expected, rtol=1e-12)


def test_r2_keeps_its_digits_far_from_zero(rng):
    labels = rng.random((50, 1))
    predictions = labels + 0.1 * rng.random((50, 1))
    near = regression_metrics(labels, predictions)["r2"]
    far = regression_metrics(labels + 1e7, predictions + 1e7)["r2"]
    np.testing.assert_allclose(far, near, rtol=1e-6)


def test_r2_of_equal_labels_is_undefined():
    labels = np.full((7, 1), 0.1)
    assert np.isnan(regression_metrics(labels, labels + 1)["r2"]).all()
    assert bootstrap_intervals(labels, labels + 1)["r2"] is None


def test_intervals_are_the_same_every_time(values):
    assert bootstrap_intervals(*values) == bootstrap_intervals(*values)


def test_intervals_hold_the_figure_and_are_ordered(values):
    figures = regression_metrics(*values)
    for name, (low, high) in bootstrap_intervals(*values).items():
        assert low < figures[name].mean() < high


def test_interval_of_the_mean_error_agrees_with_the_normal_one(rng):
    labels = np.zeros((400, 1))
    predictions = rng.exponential(1.0, (400, 1))
    low, high = bootstrap_intervals(labels, predictions)["mean_absolute_error"]
    half = 1.96 * predictions.std() / np.sqrt(400)
    assert (high - low) / 2 == pytest.approx(half, rel=0.1)


def test_interval_covers_the_true_error_about_as_often_as_it_says(rng):
    # Normal errors of sd 1: the mean absolute error is sqrt(2 / pi).
    covered = 0
    for _ in range(40):
        labels = rng.normal(size=(80, 1))
        errors = rng.normal(size=(80, 1))
        low, high = bootstrap_intervals(labels, labels + errors)["mean_absolute_error"]
        covered += low <= np.sqrt(2 / np.pi) <= high
    assert covered >= 34
