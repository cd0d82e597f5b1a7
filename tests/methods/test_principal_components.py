import numpy as np
import pytest
from sklearn.decomposition import PCA

from tftransfer.methods.principal_components import find_components


@pytest.mark.parametrize("shape", [(50, 8), (8, 50)])
def test_components_are_those_of_scikit_learn_over_one_spread(rng, shape):
    rows = rng.normal(size=shape) * np.linspace(1, 3, shape[1])
    found = find_components(rows, 3)(rows)
    expected = PCA(3).fit_transform(rows)
    np.testing.assert_allclose(
        np.abs(found), np.abs(expected / expected.std()), atol=1e-8
    )


def test_there_are_no_more_components_than_the_rows_span():
    rows = np.outer(np.arange(5.0), [1.0, 2.0, 3.0])
    assert find_components(rows, 3)(rows).shape == (5, 1)


def test_equal_rows_have_none():
    assert find_components(np.ones((5, 3)), 3)(np.ones((5, 3))).shape == (5, 0)
