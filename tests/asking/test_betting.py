import itertools

import numpy as np
import pytest

from tftransfer.asking.betting import bound_errors, evidence_for


def populations(wins, losses, ties, count, num_games, rng):
    rows = np.repeat([1, -1, 0], [wins, losses, ties])
    return rng.permuted(np.tile(rows, (num_games, 1)), axis=1)[:, :count].T


@pytest.mark.parametrize("count", [1, 3, 5])
def test_a_fair_game_pays_nothing_in_the_mean_over_all_orders(count):
    orders = np.array(list(itertools.permutations([1, 1, -1, -1, -1, 0])))
    evidence = evidence_for(orders[:, :count].T, 6, allowance=1)
    # A sum of -1 is the best that is not worth having: exactly 1 in the mean.
    np.testing.assert_allclose(evidence.mean(), 1, rtol=1e-9)


def test_a_candidate_worse_than_allowed_loses_money():
    orders = np.array(list(itertools.permutations([1, 1, -1, -1, -1, 0])))
    assert evidence_for(orders[:, :5].T, 6, allowance=0).mean() < 1


def test_the_product_is_as_written():
    signs, parts, num_rows, allowance = [1, 0, 1, -1, 1], (0.3, 0.5, 0.7), 40, 2.0
    owned = []
    for part in parts:
        product, total = 1.0, 0
        for t, sign in enumerate(signs, start=1):
            mean = (-allowance - total) / (num_rows - t + 1)
            product *= 1 + part * (sign - mean) / (1 + mean)
            total += sign
        owned.append(product)
    np.testing.assert_allclose(
        evidence_for(np.array(signs), num_rows, allowance), np.mean(owned), rtol=1e-12
    )


def test_no_doubt_is_infinite_evidence():
    assert evidence_for(np.ones(6), 11) == np.inf  # 6 wins, at most 5 losses
    assert np.isfinite(evidence_for(np.ones(6), 12))  # may end even
    assert evidence_for(np.zeros(0), 3, allowance=4) == np.inf  # cannot do harm
    assert evidence_for(np.array([-1.0, 1.0]), 2) < np.inf  # even: not better


def test_looking_after_every_label_errs_no_more_than_stated(rng):
    # The hardest case: as many wins as losses, a look after each of 200 rows.
    signs = populations(300, 300, 100, 200, 2000, rng)
    best = np.ones(2000)
    for count in range(1, 201):
        if count % 10 == 0 or count < 20:
            best = np.maximum(best, evidence_for(signs[:count], 700))
    for error in (0.05, 0.15):
        wrong = (best >= 1 / error).mean()
        assert wrong <= error
        assert wrong >= error / 10  # and not because it never says anything


def test_a_better_candidate_is_found(rng):
    signs = populations(400, 100, 200, 40, 1000, rng)
    assert (evidence_for(signs, 700) >= 1 / 0.15).mean() > 0.9


def test_many_candidates_together_err_no_more_than_stated(rng):
    # Five that are not worth having beside two that are, on the same rows.
    even = np.stack([populations(60, 60, 80, 30, 600, rng) for _ in range(5)], -1)
    good = np.stack([populations(110, 10, 80, 30, 600, rng) for _ in range(2)], -1)
    signs = np.concatenate([even, good], axis=-1)
    found = np.zeros((600, 7), bool)
    for count in (10, 20, 30):
        evidence = evidence_for(signs[:count], 200)
        bounds = np.array([bound_errors(game) for game in evidence])
        found |= bounds <= 0.15
    assert found[:, :5].any(axis=1).mean() <= 0.15
    assert found[:, 5:].any(axis=1).mean() > 0.5


def test_the_bound_is_that_of_the_weakest_set_of_candidates():
    evidence = np.array([30.0, 3.0, 0.2, 90.0, 1.1])
    for place, bound in enumerate(bound_errors(evidence)):
        sets = [
            [place, *others]
            for size in range(5)
            for others in itertools.combinations(set(range(5)) - {place}, size)
        ]
        weakest = min(evidence[members].mean() for members in sets)
        np.testing.assert_allclose(bound, min(1, 1 / weakest))


def test_infinite_evidence_leaves_no_error():
    assert bound_errors(np.array([np.inf, 0.5])).tolist() == [0.0, 1.0]
