import numpy as np

from tftransfer.methods.problem import Problem, scaling_of


def test_a_feature_in_its_own_units_has_mean_zero_and_spread_just_below_one(rng):
    rows = rng.normal(size=(50, 3)) * [1, 20, 5] + 7
    scaled = scaling_of(rows)(rows)
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-12)
    expected = rows.std(axis=0) / (rows.std(axis=0) + 1e-3 * rows.std())
    np.testing.assert_allclose(scaled.std(axis=0), expected)


def test_constant_features_stay_finite():
    one = np.array([[1.0, 5.0], [3.0, 5.0]])
    np.testing.assert_array_equal(scaling_of(one)(one)[:, 1], 0)
    same = np.full((4, 2), 5.0)
    np.testing.assert_array_equal(scaling_of(same)(same), 0)


def test_the_spread_of_a_target_feature_is_at_least_a_fifth_of_the_sources(rng):
    source, target = rng.normal(size=(90, 2)), rng.normal(size=(40, 2)) * [3, 1e-6]
    spread = Problem(source, np.arange(90) % 2, target, 2).by_target.spread
    floor = 1e-3 * source.std()
    assert np.isclose(spread[0], target[:, 0].std() + floor)
    assert np.isclose(spread[1], 0.2 * source[:, 1].std() + floor)
