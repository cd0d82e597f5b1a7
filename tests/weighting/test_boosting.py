import numpy as np
import pytest

from tftransfer.weighting import tradaboost

SOURCE, TARGET = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([[0.5], [1.5], [2.5]])
SOURCE_LABELS, TARGET_LABELS = [0, 0, 1, 1], [0, 1, 1]


def stumps(cuts):
    """Learner that ignores the data: one threshold after the other."""
    cuts = iter(cuts)

    def fit(rows, labels, weights):
        assert weights.mean() == pytest.approx(1.0)
        cut = next(cuts)
        return lambda rows: (rows[:, 0] > cut).astype(int)

    return fit


def test_weights_and_votes_are_those_of_the_paper_by_hand():
    found = tradaboost(
        SOURCE,
        SOURCE_LABELS,
        TARGET,
        TARGET_LABELS,
        rounds=2,
        fit=stumps([0.7, 2.2]),
    )
    # Round 1, cut .7: source row 1 is wrong, no target row is: e is kept at 1e-6.
    # Round 2, cut 2.2: source row 2 and target row 1 are wrong: e = 1/3, b_t = 1/2.
    forget = 1 / (1 + np.sqrt(2 * np.log(4) / 2))
    source = np.array([1.0, forget, forget, 1.0])
    np.testing.assert_allclose(found.source_weights, source / source.mean())
    np.testing.assert_allclose(
        found.target_weights, np.array([1.0, 2.0, 1.0]) / source.mean()
    )
    np.testing.assert_allclose(found.errors, [0.0, 1 / 3])
    # Only the second half of the rounds votes: the second stump.
    assert found.predict(TARGET).tolist() == [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]


def test_votes_are_weighted_by_the_logarithm_of_one_over_b():
    found = tradaboost(
        SOURCE,
        SOURCE_LABELS,
        TARGET,
        TARGET_LABELS,
        rounds=4,
        fit=stumps([0.7, 0.7, 2.2, 2.7]),
    )
    assert found.errors[2] == pytest.approx(1 / 3)
    # after round 3 target row 1 counts twice; the last stump is wrong on rows 1 and 2
    assert found.errors[3] == pytest.approx(
        3 / 4
    )  # worse than chance, so next to nothing
    votes = np.log([2.0, 0.501 / 0.499])
    assert found.predict([[2.5]])[0, 1] == pytest.approx(votes[0] / votes.sum())


def test_source_rows_that_contradict_the_target_lose_weight(rng):
    source, target = rng.normal(size=(200, 3)), rng.normal(size=(60, 3))
    truth = np.array([1.0, -1.0, 0.5])
    labels = (source @ truth > 0).astype(int)
    labels[:50] = 1 - labels[:50]
    found = tradaboost(source, labels, target, (target @ truth > 0).astype(int))
    assert found.source_weights.mean() == pytest.approx(1.0)
    assert found.source_weights[:50].mean() < 0.2 * found.source_weights[50:].mean()
    new = rng.normal(size=(500, 3))
    assert (found.predict(new).argmax(axis=1) == (new @ truth > 0)).mean() > 0.9


def test_several_classes_vote_and_shares_sum_to_one(rng):
    centers = np.array([[3.0, 0.0], [0.0, 3.0], [-3.0, -3.0]])
    labels = np.arange(90) % 3
    source = rng.normal(size=(90, 2)) + centers[labels]
    target = rng.normal(size=(30, 2)) + centers[labels[:30]] + 1.0
    found = tradaboost(source, labels, target, labels[:30], rounds=5)
    shares = found.predict(target)
    assert shares.shape == (30, 3)
    np.testing.assert_allclose(shares.sum(axis=1), 1.0)
    assert (shares.argmax(axis=1) == labels[:30]).mean() > 0.95


def test_one_class_is_refused():
    with pytest.raises(ValueError, match="Received: only class 0"):
        tradaboost(SOURCE, [0] * 4, TARGET, [0] * 3)


def test_labels_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"Received: target_labels of shape \(2,\)"):
        tradaboost(SOURCE, SOURCE_LABELS, TARGET, [0, 1])
    with pytest.raises(ValueError, match="Received: source_labels of .* dtype float"):
        tradaboost(SOURCE, np.zeros(4), TARGET, TARGET_LABELS)


def test_no_rounds_are_refused():
    with pytest.raises(ValueError, match="Received: rounds=0"):
        tradaboost(SOURCE, SOURCE_LABELS, TARGET, TARGET_LABELS, rounds=0)
