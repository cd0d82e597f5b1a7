import numpy as np
import pytest

from tftransfer.data.splits import split_indices


def test_every_index_is_in_exactly_one_part():
    strata = np.random.default_rng(0).integers(0, 5, 103)
    parts = split_indices(strata, (0.6, 0.2, 0.2), seed=3)
    assert sorted(np.concatenate(parts).tolist()) == list(range(103))
    assert all((np.diff(part) > 0).all() for part in parts)


@pytest.mark.parametrize("fractions", [(0.75, 0.25), (0.5, 0.3, 0.2), (0.9, 0.1)])
def test_totals_and_strata_are_right_to_rounding(fractions):
    random = np.random.default_rng(1)
    for _ in range(20):
        strata = random.integers(0, random.integers(2, 9), 500)
        parts = split_indices(strata, fractions)
        for part, fraction in zip(parts, fractions, strict=True):
            assert abs(len(part) - 500 * fraction) < 1
            for stratum in np.unique(strata):
                ideal = (strata == stratum).sum() * fraction
                assert abs((strata[part] == stratum).sum() - ideal) < 2


def test_figures_worked_by_hand():
    # 5 and 3 elements, halves: 2.5 -> 3 and 2; 1.5 - 0.5 carried -> 1 and 2
    first, second = split_indices(list("aaaaabbb"), (0.5, 0.5))
    assert [sum(first < 5), sum(first >= 5)] == [3, 1]
    assert [sum(second < 5), sum(second >= 5)] == [2, 2]


def test_seed_decides_which_and_nothing_else_does():
    strata = [0, 1] * 50
    one = split_indices(strata, (0.5, 0.5), seed=1)
    np.random.seed(7)
    np.testing.assert_array_equal(one, split_indices(strata, (0.5, 0.5), seed=1))
    assert (one[0] != split_indices(strata, (0.5, 0.5), seed=2)[0]).any()


def test_membership_is_random_within_a_stratum():
    chosen = [split_indices([0] * 8, (0.75, 0.25), seed=s)[1] for s in range(60)]
    assert set(np.concatenate(chosen).tolist()) == set(range(8))


def test_a_stratum_of_one_is_for_training():
    for seed in range(5):
        train, _ = split_indices(["a"] * 9 + ["b"] * 5 + ["c"], (0.5, 0.5), seed=seed)
        assert 14 in train


@pytest.mark.parametrize("fractions", [(0.5, 0.4), (1.5, -0.5), (1.0, 0.0)])
def test_fractions_must_add_up(fractions):
    with pytest.raises(ValueError, match="Received: fractions="):
        split_indices([0, 1], fractions)


def test_nothing_to_split_is_refused():
    with pytest.raises(ValueError, match=r"Received: strata of shape \(0,\)"):
        split_indices([], (0.5, 0.5))


def test_seed_must_be_a_whole_number():
    with pytest.raises(TypeError, match="Received: seed=0.5"):
        split_indices([0, 1], (0.5, 0.5), seed=0.5)
