import numpy as np
import pytest

from tests.domains import accuracy, draw_domain
from tftransfer.methods.propagation import (
    find_neighborhood,
    label_propagation,
    nearest_rows,
)
from tftransfer.methods.unit_rows import unit_rows


def propagate_by_loops(unit, prior, count, alpha):
    """The equation with dense matrices."""
    cosines = unit @ unit.T
    np.fill_diagonal(cosines, -np.inf)
    near = np.argsort(-cosines, axis=1)[:, :count]
    kept = np.take_along_axis(cosines, near, axis=1)
    graph = np.zeros(cosines.shape)
    weights = np.exp((kept - 1) / (1 - kept.mean()))
    np.put_along_axis(graph, near, weights, axis=1)
    graph = np.maximum(graph, graph.T)
    degree = graph.sum(axis=1)
    graph = graph / np.sqrt(degree[:, None] * degree)
    spread = prior
    for _ in range(40):
        spread = alpha * graph @ spread + (1 - alpha) * prior
    return spread / spread.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("alpha", [0.5, 0.8])
def test_it_follows_the_equation(moved, alpha):
    problem, control, _ = moved
    found = label_propagation(problem, control, alpha=alpha)
    rows = problem.target_by_source
    unit = unit_rows(rows - rows.mean(axis=0))
    expected = propagate_by_loops(unit, control.probabilities, 10, alpha)
    np.testing.assert_allclose(found.probabilities, expected, atol=1e-5)


def test_nearest_rows_are_found_in_blocks_as_at_once(rng):
    unit = unit_rows(rng.normal(size=(2500, 5)))
    near, cosines = nearest_rows(unit, unit, 4, skip_self=True)
    rows = rng.integers(0, 2500, 50)
    exact = unit[rows] @ unit.T
    exact[np.arange(50), rows] = -np.inf
    expected = np.sort(np.argsort(-exact, axis=1)[:, :4], axis=1)
    assert (np.sort(near[rows], axis=1) == expected).mean() > 0.98  # but for ties
    assert not np.any(near == np.arange(2500)[:, None])
    assert cosines.max() <= 1 + 1e-6


def test_further_rows_are_called_as_their_neighbors(moved):
    problem, control, truth = moved
    found = label_propagation(problem, control, units="target")
    further, labels = draw_domain(3000, 9, shift=1.5)
    inductive = np.mean(found.predict(further).argmax(axis=1) == labels)
    assert inductive > accuracy(found, truth) - 0.03
    np.testing.assert_allclose(found.predict(further).sum(axis=1), 1)


def test_a_neighborhood_serves_several_propagations(moved):
    problem, control, _ = moved
    near = find_neighborhood(problem)
    once = label_propagation(problem, control, alpha=0.5, neighborhood=near)
    again = label_propagation(problem, control, alpha=0.5)
    np.testing.assert_array_equal(once.probabilities, again.probabilities)
