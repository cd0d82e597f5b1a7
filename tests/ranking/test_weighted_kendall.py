import numpy as np
import pytest
from scipy import stats

from tftransfer.ranking import weighted_kendall


def test_it_is_what_scipy_computes_ties_or_none(rng):
    for count in range(2, 30):
        scores, accuracies = rng.normal(size=(2, count))
        wanted = stats.weightedtau(scores, accuracies).statistic
        assert weighted_kendall(scores, accuracies) == pytest.approx(wanted, abs=1e-12)
        tied, accuracies = rng.integers(0, 5, size=(2, count))
        tied[0], tied[1], accuracies[0], accuracies[1] = 0, 1, 2, 3
        wanted = stats.weightedtau(tied, accuracies).statistic
        assert weighted_kendall(tied, accuracies) == pytest.approx(wanted, abs=1e-12)


def test_equal_and_opposite_rankings_score_one_and_minus_one():
    scores = np.array([3.0, 1.0, 2.0])
    assert weighted_kendall(scores, 10 * scores) == pytest.approx(1.0)
    assert weighted_kendall(scores, -scores) == pytest.approx(-1.0)


def test_an_error_at_the_top_costs_most():
    truth = [4, 3, 2, 1]
    top, bottom = (
        weighted_kendall([3, 4, 2, 1], truth),
        weighted_kendall([4, 3, 1, 2], truth),
    )
    assert top < bottom


def test_whole_numbers_without_sign_are_taken():
    scores = np.array([1, 2, 3], "uint8")
    assert weighted_kendall(scores, scores[::-1]) == pytest.approx(-1.0)


def test_scores_that_are_all_equal_rank_nothing():
    assert np.isnan(weighted_kendall([1, 1, 1], [1, 2, 3]))


@pytest.mark.parametrize("bad", [[1.0], [[1.0, 2.0]], [1.0, 2.0, 3.0]])
def test_pairs_that_do_not_fit_are_refused(bad):
    with pytest.raises(
        ValueError, match=r"Received: shapes \(.*\) and \(2,\). Pass bo"
    ):
        weighted_kendall(bad, [1.0, 2.0])
    with pytest.raises(ValueError, match=r"Received: shapes \(1,\) and \(1,\)"):
        weighted_kendall([1.0], [1.0])


def test_what_is_no_number_is_refused_by_its_name():
    with pytest.raises(ValueError, match=r"Received: scores=\[nan, 1.0\]. Leave out"):
        weighted_kendall([np.nan, 1.0], [1.0, 2.0])
    with pytest.raises(ValueError, match=r"Received: accuracies=\['a', 'b'\]"):
        weighted_kendall([0.0, 1.0], ["a", "b"])
