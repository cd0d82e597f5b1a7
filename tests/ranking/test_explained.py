import pytest
from sklearn.metrics import r2_score

from tftransfer.ranking.explained import explained_variance


def test_it_is_the_mean_over_columns_of_r_squared(rng):
    values = rng.normal(size=(30, 3))
    predicted = values + rng.normal(size=(30, 3))
    wanted = r2_score(values, predicted)
    assert explained_variance(values, predicted) == pytest.approx(wanted)
