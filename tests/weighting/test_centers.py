import numpy as np
import pytest

from tftransfer.weighting.centers import (
    choose_centers,
    choose_sigma,
    folds_of,
    folds_of_both,
)


def test_centers_are_target_rows_without_repetition(rng):
    target = rng.normal(size=(30, 2))
    centers = choose_centers(target, 10, seed=0)
    assert len(np.unique(centers, axis=0)) == 10
    assert all((row == target).all(axis=1).any() for row in centers)
    np.testing.assert_array_equal(choose_centers(target, 99, seed=0), target)


def test_folds_hold_each_row_once():
    parts = folds_of(11, 3, seed=0)
    assert sorted(np.concatenate(parts).tolist()) == list(range(11))
    assert [len(part) for part in folds_of(2, 5, seed=0)] == [1, 1]


def test_both_domains_have_equally_many_folds():
    pairs = folds_of_both(11, 2, 5, seed=0)
    assert len(pairs) == 2
    assert sorted(np.concatenate([pair[0] for pair in pairs])) == list(range(11))


def test_the_width_that_scores_best_is_taken():
    both = np.array([[0.0], [1.0]]), np.array([[3.0]])  # median distance 2
    assert choose_sigma(*both, lambda width: -width) == 1.0
    assert choose_sigma(*both, lambda width: width) == pytest.approx(4.0)
