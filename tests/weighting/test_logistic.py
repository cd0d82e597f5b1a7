import sys

import numpy as np
import pytest

from tftransfer.weighting import logistic_ratio
from tftransfer.weighting.logistic import fit_odds


def test_the_ratio_of_gaussians_of_equal_spread_is_found(rng):
    # log ratio of N(mu, I) to N(0, I) is linear in x: mu' x - mu' mu / 2
    source, shift = rng.normal(size=(2000, 3)), np.array([1.0, 0.0, -0.5])
    target = rng.normal(size=(1000, 3)) + shift
    odds = fit_odds(source, target, 1e-6)
    np.testing.assert_allclose(
        odds(np.eye(3)) - odds(np.zeros((3, 3))), shift, atol=0.15
    )
    assert odds(np.zeros((1, 3))) == pytest.approx(-shift @ shift / 2, abs=0.1)
    log_weights = np.log(logistic_ratio(source, target, penalty=1e-3))
    assert np.corrcoef(log_weights, source @ shift)[0, 1] > 0.99


def test_the_slope_of_the_penalized_loss_vanishes(rng):
    source, target = rng.normal(size=(40, 2)), rng.normal(size=(25, 2)) + 1
    odds = fit_odds(source, target, 0.3)
    bias = odds(np.zeros((1, 2)))
    vector = odds(np.eye(2)) - bias
    of_source, of_target = (
        1 / (1 + np.exp(-odds(source))),
        1 / (1 + np.exp(odds(target))),
    )
    slope = (of_source @ source / 40 - of_target @ target / 25) / 2 + 0.3 * vector
    np.testing.assert_allclose(slope, 0.0, atol=1e-5)


def test_no_row_is_weighed_by_a_model_that_saw_it(rng):
    # Wider than there are rows: a model that saw the rows would tell all of them apart.
    source, target = rng.normal(size=(60, 300)), rng.normal(size=(60, 300))
    weights = logistic_ratio(source, target, penalty=0.1)
    seen = np.exp(fit_odds(source, target, 0.1)(source))
    assert seen.max() < 0.5 and (weights > 0.5).sum() > 20


def test_the_penalty_is_the_best_on_rows_left_out(rng):
    source, target = rng.normal(size=(60, 300)), rng.normal(size=(60, 300))
    weights = logistic_ratio(source, target)  # no shift: next to no weighting
    assert weights.sum() ** 2 / (weights**2).sum() > 50
    shifted = logistic_ratio(source, target + 0.3)
    assert shifted.sum() ** 2 / (shifted**2).sum() < 30


def test_few_target_rows_leave_no_source_row_out(rng):
    weights = logistic_ratio(rng.normal(size=(40, 1)), rng.normal(size=(2, 1)) + 2)
    assert len(np.unique(weights)) == 40


def test_ratios_stay_within_the_bound(rng):
    source, target = rng.normal(size=(50, 2)), rng.normal(size=(50, 2)) + 6
    weights = logistic_ratio(source, target, penalty=1e-6, bound=2.0)
    assert weights.max() / weights.min() <= 4.0 + 1e-9


@pytest.mark.parametrize(("name", "value"), [("folds", 1), ("bound", 0.5)])
def test_numbers_out_of_range_are_refused(waves, name, value):
    with pytest.raises(ValueError, match=f"Received: {name}={value}"):
        logistic_ratio(*waves, **{name: value})


def test_a_missing_scikit_learn_is_told(waves, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(ImportError, match=r'pip install "tftransfer\[demo\]"'):
        logistic_ratio(*waves)
