import numpy as np
import pytest

from tftransfer.asking.gains import estimate_gain


def test_the_estimate_counts_what_was_seen_and_expects_the_like_of_the_rest():
    gain, low, high = estimate_gain(6, 2, 10, 50, 200)
    expected = (6 - 2) + 40 * (6.5 - 2.5) / 11.5
    np.testing.assert_allclose(gain, 100 * expected / 200)
    assert low < gain < high


def test_the_interval_holds_what_is_possible_and_shrinks():
    wide, narrow = (estimate_gain(k, k // 2, 2 * k, 200, 400) for k in (4, 40))
    assert narrow[2] - narrow[1] < wide[2] - wide[1]
    _, low, high = estimate_gain(0, 0, 0, 10, 1000)
    assert -1 <= low < 0 < high <= 1


def test_no_disagreement_is_no_gain():
    assert estimate_gain(0, 0, 0, 0, 100) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("asked", [10, 40])
@pytest.mark.parametrize("shares", [(0.5, 0.3), (0.8, 0.1), (0.1, 0.3), (0.35, 0.35)])
def test_the_interval_holds_the_truth_nine_times_in_ten(rng, asked, shares):
    wins, losses = (round(80 * share) for share in shares)
    rows = np.repeat([1, -1, 0], [wins, losses, 80 - wins - losses])
    truth, held = 100 * rows.sum() / 500, []
    for seed in range(150):
        seen = rng.permutation(rows)[:asked]
        won, lost = (seen > 0).sum(), (seen < 0).sum()
        _, low, high = estimate_gain(won, lost, asked, 80, 500, seed=seed)
        held.append(low <= truth <= high)
    assert np.mean(held) > 0.85
