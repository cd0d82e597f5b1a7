import numpy as np
import pytest

from tests.domains import accuracy
from tests.methods.test_softmax_regression import check_gradient
from tftransfer.methods.information import (
    centroid_labels,
    information_loss,
    information_maximization,
)
from tftransfer.methods.softmax_regression import softmax


def test_the_loss_is_conditional_minus_marginal_entropy(rng):
    logits = rng.normal(size=(9, 4))
    p = softmax(logits)
    mean = p.mean(axis=0)
    expected = -np.sum(p * np.log(p), axis=1).mean() + np.sum(mean * np.log(mean))
    loss, gradient = information_loss(logits)
    assert loss == pytest.approx(expected, rel=1e-9)
    check_gradient(lambda z: information_loss(z)[0], logits, gradient)


def test_labels_are_those_of_the_nearest_centroid_in_angle():
    rows = np.array([[1.0, 0.1], [1.0, -0.1], [-0.1, 1.0], [0.1, 1.0], [0.0, 9.0]])
    sure = np.eye(3)[[0, 0, 1, 1, 0]]  # the last one is called wrong
    assert centroid_labels(rows, sure).tolist() == [0, 0, 1, 1, 1]


@pytest.mark.parametrize("units", ["source", "target"])
def test_it_helps_and_predicts_further_rows(moved, units):
    problem, control, truth = moved
    found = information_maximization(problem, control, units=units)
    assert accuracy(found, truth) > accuracy(control, truth)
    np.testing.assert_allclose(found.predict(problem.target), found.probabilities)
