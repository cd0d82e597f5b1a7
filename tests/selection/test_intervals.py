"""The corrected interval, against SciPy and by hand."""

import math

import numpy as np
import pytest
from scipy import stats

from tftransfer.selection.intervals import corrected_interval, student_quantile


@pytest.mark.parametrize("degrees", [1, 2, 4, 9, 49, 199])
@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.99])
def test_quantiles_equal_those_of_scipy(degrees, confidence):
    expected = stats.t.ppf(0.5 + confidence / 2, degrees)
    assert student_quantile(confidence, degrees) == pytest.approx(expected, rel=1e-8)


def test_the_interval_by_hand():
    # Mean 0.7, variance (0.1^2 + 0 + 0.1^2) / 2 = 0.01; three folds: 1/3 + 1/2.
    half = stats.t.ppf(0.975, 2) * math.sqrt((1 / 3 + 1 / 2) * 0.01)
    found = corrected_interval([0.6, 0.7, 0.8], 1 / 2)
    assert found == pytest.approx((0.7 - half, 0.7 + half), rel=1e-8)


def test_without_overlap_it_is_the_usual_interval(rng):
    scores = rng.normal(size=8)
    expected = stats.t.interval(0.95, 7, scores.mean(), stats.sem(scores))
    assert corrected_interval(scores, 0.0) == pytest.approx(expected, rel=1e-8)


def test_more_repetitions_do_not_make_it_vanish(rng):
    scores = rng.normal(0.8, 0.05, 1000)
    low, high = corrected_interval(scores, 1 / 9)
    assert high - low > 2 * 1.96 * math.sqrt(1 / 9) * 0.045


def test_one_score_has_no_interval():
    assert corrected_interval([0.5], 1.0) is None
    assert corrected_interval([], 1.0) is None


def test_equal_scores_give_a_point():
    assert corrected_interval(np.full(5, 0.5), 0.25) == (0.5, 0.5)
