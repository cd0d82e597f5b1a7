import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from tftransfer.methods.softmax_regression import (
    cross_entropy,
    fit_softmax_regression,
    log_softmax,
    one_hot,
    softmax,
)


@pytest.fixture
def data(rng):
    labels = rng.integers(0, 4, 200)
    return rng.normal(size=(200, 6)) + 0.5 * one_hot(labels, 6), labels


@pytest.mark.parametrize("weighted", [False, True])
def test_it_agrees_with_scikit_learn(data, rng, weighted):
    rows, labels = data
    weights = rng.uniform(0.1, 3, 200) if weighted else np.ones(200)
    penalty = 0.05
    model = fit_softmax_regression(
        rows, one_hot(labels, 4), penalty, weights=weights, tolerance=1e-14
    )
    # Theirs minimizes C times the sum plus half the square.
    other = LogisticRegression(
        C=1 / (penalty * weights.sum()), tol=1e-10, max_iter=5000
    )
    other.fit(rows, labels, sample_weight=weights)
    np.testing.assert_allclose(model(rows), other.predict_proba(rows), atol=1e-5)


def test_the_bias_is_free_and_only_the_mean_remains_under_a_large_penalty(data):
    rows, labels = data
    model = fit_softmax_regression(rows, one_hot(labels, 4), 1e3)
    shares = np.bincount(labels) / len(labels)
    np.testing.assert_allclose(model(rows)[0], shares, atol=1e-3)


def test_soft_targets_are_the_mean_of_hard_ones(data):
    rows, labels = data
    others = (labels + 1) % 4
    soft = 0.7 * one_hot(labels, 4) + 0.3 * one_hot(others, 4)
    twice = np.concatenate([one_hot(labels, 4), one_hot(others, 4)])
    weights = np.repeat([0.7, 0.3], 200)
    one = fit_softmax_regression(rows, soft, 0.1, tolerance=1e-14)
    two = fit_softmax_regression(
        np.tile(rows, (2, 1)), twice, 0.1, weights=weights, tolerance=1e-14
    )
    np.testing.assert_allclose(one.weights, two.weights, atol=1e-5)


def test_the_start_changes_nothing_but_the_time(data, rng):
    rows, targets = data[0], one_hot(data[1], 4)
    first = fit_softmax_regression(rows, targets, 0.1, tolerance=1e-14)
    other = fit_softmax_regression(targets @ rng.normal(size=(4, 6)), targets, 1.0)
    again = fit_softmax_regression(rows, targets, 0.1, start=other, tolerance=1e-14)
    np.testing.assert_allclose(first.weights, again.weights, atol=1e-5)


def test_the_gradient_of_the_cross_entropy_is_that_of_finite_differences(rng):
    logits, targets = rng.normal(size=(5, 3)), softmax(rng.normal(size=(5, 3)))
    share = rng.uniform(size=(5, 1))
    _, gradient = cross_entropy(logits, targets, share)
    check_gradient(lambda z: cross_entropy(z, targets, share)[0], logits, gradient)


def test_logits_of_any_size_stay_finite():
    logits = np.array([[1e4, 0.0], [-1e4, 0.0]])
    assert np.isfinite(log_softmax(logits)).all()
    np.testing.assert_allclose(softmax(logits), [[1, 0], [0, 1]], atol=1e-12)


def check_gradient(loss, at, gradient, step=1e-6):
    for place in np.ndindex(at.shape):
        move = np.zeros_like(at)
        move[place] = step
        slope = (loss(at + move) - loss(at - move)) / (2 * step)
        assert slope == pytest.approx(gradient[place], abs=1e-7)
