import numpy as np
import pytest

import tftransfer as tft
from tftransfer.validation import domain_distances
from tftransfer.validation.domain_distances import a_distance, mmd


def test_mmd_is_that_of_the_loss(rng):
    source, target = rng.normal(size=(12, 3)), rng.normal(size=(9, 3)) + 1
    wanted = float(tft.mmd_loss(source, target, bandwidths=(1.5,)))
    assert mmd(source, target, sigma=1.5) == pytest.approx(wanted, rel=1e-5)


def test_equal_domains_have_no_mmd_and_far_ones_two(rng):
    rows = rng.normal(size=(10, 2))
    assert mmd(rows, rows) == pytest.approx(0.0, abs=1e-12)
    assert mmd(np.zeros((3, 1)), np.full((3, 1), 99.0), sigma=1.0) == pytest.approx(2.0)


def test_of_many_rows_some_are_drawn(rng, monkeypatch):
    source, target = rng.normal(size=(600, 1)), rng.normal(size=(600, 1)) + 1
    whole = mmd(source, target, sigma=1.0)
    monkeypatch.setattr(domain_distances, "_MOST_ROWS", 300)
    assert mmd(source, target, sigma=1.0) == pytest.approx(whole, rel=0.3)


def test_a_distance_is_the_held_out_error(rng):
    # Two Gaussians two apart: the best cut is wrong in Phi(-1) = 15.87 % of the rows.
    source, target = rng.normal(size=(4000, 1)), rng.normal(size=(3000, 1)) + 2
    assert a_distance(source, target) == pytest.approx(2 * (1 - 2 * 0.1587), abs=0.04)


def test_a_distance_at_its_ends(rng):
    rows = rng.normal(size=(300, 5))
    assert a_distance(rows, rng.normal(size=(300, 5))) < 0.3
    assert a_distance(rows, rows + 50) == 2.0
    assert a_distance(np.ones((6, 2)), np.ones((5, 2))) == 0.0


def test_a_distance_does_not_know_the_rows_it_judges(rng):
    source, target = rng.normal(size=(40, 400)), rng.normal(size=(40, 400))
    assert a_distance(source, target) < 0.7  # fitted and judged on the same: 2


@pytest.mark.parametrize("distance", [a_distance, mmd])
def test_bad_rows_are_refused(distance, rng):
    with pytest.raises(ValueError, match="Received: source.shape="):
        distance(rng.normal(size=(4, 2)), rng.normal(size=(4, 3)))
    with pytest.raises(ValueError, match="Received: target with NaN"):
        distance(np.ones((4, 1)), np.full((4, 1), np.nan))


def test_bad_numbers_are_refused(rng):
    rows = rng.normal(size=(4, 2))
    with pytest.raises(ValueError, match="Received: sigma=0"):
        mmd(rows, rows, sigma=0)
    with pytest.raises(ValueError, match="Received: penalty=0"):
        a_distance(rows, rows, penalty=0)
    with pytest.raises(ValueError, match="Received: folds=1"):
        a_distance(rows, rows, folds=1)
