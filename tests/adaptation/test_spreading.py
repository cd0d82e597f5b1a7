import numpy as np
import pytest

from tests.domains import draw_domain
from tftransfer.adaptation.spreading import CorrectedModel, correct, spread_labels
from tftransfer.methods.problem import Problem
from tftransfer.methods.propagation import find_neighborhood

ROWS = np.array([3, 40, 77, 98, 5])


@pytest.fixture(scope="module")
def problem():
    source, labels = draw_domain(120, 0)
    target, _ = draw_domain(120, 1, shift=1.0)
    return Problem(source, labels, target, 3)


@pytest.fixture(scope="module")
def neighborhood(problem):
    return find_neighborhood(problem, units="target")


@pytest.fixture(scope="module")
def probabilities():
    return np.random.default_rng(0).dirichlet(np.ones(3), 120)


def kernel_of(neighborhood, rows):
    graph = neighborhood.graph.toarray()
    kernel = np.linalg.inv(np.eye(len(graph)) - 0.95 * graph)
    return kernel / np.mean(np.diag(kernel)[rows])


def test_amounts_are_those_of_the_formula(neighborhood, probabilities):
    labels = np.array([0, 1, 2, 0, 1])
    found = spread_labels(neighborhood, probabilities, ROWS, labels)
    kernel = kernel_of(neighborhood, ROWS)
    missing = np.eye(3)[labels] - probabilities[ROWS]
    inner = kernel[np.ix_(ROWS, ROWS)] + 0.3 * np.eye(5)
    expected = kernel[:, ROWS] @ np.linalg.solve(inner, missing)
    # 60 terms of the series leave 0.95^60 of what is missing.
    np.testing.assert_allclose(found.amounts, expected, atol=0.06)
    np.testing.assert_allclose(found.amounts.sum(axis=1), 0, atol=1e-9)


def test_rows_left_out_are_counted_as_if_fitted_without_them(
    neighborhood, probabilities, monkeypatch
):
    monkeypatch.setattr("tftransfer.adaptation.spreading._STEPS", 3000)
    labels = np.array([0, 1, 2, 0, 1])
    found = spread_labels(neighborhood, probabilities, ROWS, labels)
    kernel, right = kernel_of(neighborhood, ROWS), 0
    for place, row in enumerate(ROWS):
        others = np.delete(np.arange(5), place)
        missing = np.eye(3)[labels[others]] - probabilities[ROWS[others]]
        inner = kernel[np.ix_(ROWS[others], ROWS[others])] + 0.3 * np.eye(4)
        amount = kernel[row, ROWS[others]] @ np.linalg.solve(inner, missing)
        right += (probabilities[row] + amount).argmax() == labels[place]
    assert found.right == right
    assert found.right_before == np.sum(probabilities[ROWS].argmax(axis=1) == labels)


def test_labels_that_agree_change_nothing(neighborhood):
    sure = np.eye(3)[np.arange(120) % 3]
    found = spread_labels(neighborhood, sure, ROWS, ROWS % 3)
    np.testing.assert_allclose(found.amounts, 0, atol=1e-12)
    assert found.right == found.right_before == 5


def test_a_few_labels_mend_whole_clusters(problem, neighborhood):
    truth = np.arange(120) % 3
    turned = np.eye(3)[(truth + 1) % 3] * 0.4 + 0.2  # all calls wrong
    rows = np.arange(0, 24)
    found = spread_labels(neighborhood, turned, rows, truth[rows])
    assert found.right > found.right_before == 0
    calls = correct(turned, found.amounts).argmax(axis=1)
    assert np.mean(calls[24:] == truth[24:]) > 0.8


def test_further_rows_get_what_their_neighbors_get(problem, neighborhood):
    truth = np.arange(120) % 3
    turned = np.eye(3)[(truth + 1) % 3] * 0.4 + 0.2
    found = spread_labels(neighborhood, turned, np.arange(24), truth[:24])
    further, labels = draw_domain(90, 5, shift=1.0)
    wrong = np.eye(3)[(labels + 1) % 3] * 0.4 + 0.2
    model = CorrectedModel(lambda rows: wrong, neighborhood, found.amounts)
    probabilities = model(further)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert np.mean(probabilities.argmax(axis=1) == labels) > 0.8


def test_corrected_probabilities_are_probabilities():
    found = correct(np.array([[0.9, 0.1]]), np.array([[-2.0, 0.1]]))
    np.testing.assert_allclose(found, [[0.0, 1.0]], atol=1e-8)
