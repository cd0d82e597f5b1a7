import numpy as np
import pytest

from tftransfer.weighting import effective_sample_size


def test_equal_weights_count_all_rows_and_one_weight_counts_one():
    assert effective_sample_size(np.full(7, 0.3)) == pytest.approx(7.0)
    assert effective_sample_size([0.0, 5.0, 0.0]) == pytest.approx(1.0)


def test_the_value_is_that_of_the_formula_and_does_not_overflow():
    assert effective_sample_size([1.0, 2.0, 3.0]) == pytest.approx(36 / 14)
    assert effective_sample_size([1e300, 2e300, 3e300]) == pytest.approx(36 / 14)


def test_it_is_one_over_the_growth_of_the_variance_of_a_mean(rng):
    weights = rng.exponential(size=200)
    draws = rng.normal(size=(20_000, 200)) @ weights / weights.sum()
    assert 1 / draws.var() == pytest.approx(effective_sample_size(weights), rel=0.05)


def test_bad_weights_are_refused():
    with pytest.raises(ValueError, match="Received: weights of shape"):
        effective_sample_size([0.0, 0.0])
