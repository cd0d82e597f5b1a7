import numpy as np
import pytest

from tests.domains import accuracy
from tftransfer.methods.self_training import most_confident, self_training
from tftransfer.methods.softmax_regression import fit_softmax_regression, one_hot


def test_of_each_predicted_class_the_most_confident_are_taken():
    first = np.array([0.9, 0.6, 0.7, 0.2, 0.45])
    taken = most_confident(np.stack([first, 1 - first], axis=1), 0.5)
    # Three of class 0: ceil(1.5) = 2, at 0.9 and 0.7. Two of class 1: the one at 0.8.
    assert taken.tolist() == [True, False, True, True, False]


def test_one_round_minimizes_the_equation(moved):
    problem, control, _ = moved
    found = self_training(problem, control, shares=(0.3,))
    taken = most_confident(control.probabilities, 0.3)
    rows = np.concatenate([problem.scaled_source, problem.target_by_source[taken]])
    labels = np.concatenate([problem.labels, control.labels[taken]])
    count = len(problem.labels)
    weights = np.repeat([1 / count, 0.3 / taken.sum()], [count, taken.sum()])
    # mean CE + 0.3 mean CE + penalty / 2 ||W||^2, divided by 1.3.
    model = fit_softmax_regression(
        rows, one_hot(labels, 3), control.penalty / 1.3, weights=weights
    )
    expected = model(problem.target_by_source)
    np.testing.assert_allclose(found.probabilities, expected, atol=1e-3)


@pytest.mark.parametrize(
    ("units", "name"), [("source", "S.cbst"), ("target", "D.cbst")]
)
def test_it_helps_and_predicts_further_rows(moved, units, name):
    problem, control, truth = moved
    found = self_training(problem, control, units=units)
    assert found.name == name
    assert accuracy(found, truth) > accuracy(control, truth)
    np.testing.assert_allclose(found.predict(problem.target), found.probabilities)


def test_units_are_one_of_two(moved):
    with pytest.raises(ValueError, match="Received: units='own'"):
        self_training(*moved[:2], units="own")
