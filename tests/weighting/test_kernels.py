import numpy as np
import pytest

from tftransfer.weighting.kernels import (
    gaussian_kernel,
    median_distance,
    squared_distances,
)


def test_distances_and_kernel_are_those_of_a_double_loop(rng):
    rows, others = rng.normal(size=(5, 3)) + 1e3, rng.normal(size=(4, 3)) + 1e3
    wanted = [[np.sum((a - b) ** 2) for b in others] for a in rows]
    np.testing.assert_allclose(squared_distances(rows, others), wanted, rtol=1e-9)
    found = gaussian_kernel(rows, others, 1.5)
    np.testing.assert_allclose(found, np.exp(np.array(wanted) / -4.5), rtol=1e-9)


def test_the_median_is_over_different_rows_of_both_domains():
    source, target = np.array([[0.0], [1.0]]), np.array([[3.0]])
    assert median_distance(source, target) == 2.0  # of 1, 2, 3


def test_equal_rows_have_the_width_one():
    assert median_distance(np.ones((4, 2)), np.ones((1, 2))) == 1.0


def test_many_rows_are_thinned_evenly(rng):
    rows = rng.normal(size=(5000, 1))
    wanted = median_distance(rows[:500], rows[500:1000])
    assert median_distance(rows, rows) == pytest.approx(wanted, rel=0.1)
