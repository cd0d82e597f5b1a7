import numpy as np
import pytest

from tftransfer.ranking.decomposition import decompose, squared_coordinates


@pytest.mark.parametrize("shape", [(30, 8), (8, 30), (8, 8)])
def test_it_is_the_singular_value_decomposition(shape, rng):
    rows, columns = rng.normal(size=shape), rng.normal(size=(shape[0], 2))
    squares, directions = decompose(rows)
    left, values, right = np.linalg.svd(rows, full_matrices=False)
    np.testing.assert_allclose(squares[::-1], values**2, rtol=1e-9)
    aligned = np.abs((directions.T[::-1] * right).sum(axis=1))
    np.testing.assert_allclose(aligned, 1.0, rtol=1e-9)
    found = squared_coordinates(rows, columns, squares, directions)
    np.testing.assert_allclose(found[::-1], (left.T @ columns) ** 2, atol=1e-9)


@pytest.mark.parametrize("shape", [(40, 10), (10, 40)])
def test_directions_without_variance_are_left_out(shape, rng):
    rows = rng.normal(size=(shape[0], 3)) @ rng.normal(size=(3, shape[1]))
    squares, directions = decompose(rows)
    assert squares.shape == (3,) and directions.shape == (shape[1], 3)
