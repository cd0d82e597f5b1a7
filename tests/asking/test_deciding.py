import numpy as np
import pytest

from tftransfer.asking.asking import choose_rows
from tftransfer.asking.deciding import decide

TRUTH = np.arange(1000) % 4
CONTROL = np.where(np.arange(1000) % 10 < 4, (TRUTH + 1) % 4, TRUTH)  # 60 % right


def candidate(num_right, num_wrong, seed=0):
    """Change as many labels of the control to right ones, and to wrong ones."""
    rng, labels = np.random.default_rng(seed), CONTROL.copy()
    repaired = rng.permutation(np.flatnonzero(CONTROL != TRUTH))[:num_right]
    broken = rng.permutation(np.flatnonzero(CONTROL == TRUTH))[:num_wrong]
    labels[repaired], labels[broken] = TRUTH[repaired], (TRUTH[broken] + 2) % 4
    return labels


GOOD, BAD, EVEN = candidate(300, 30), candidate(20, 250, 1), candidate(100, 100, 2)


def ask(candidates, count, seed=0):
    rows = choose_rows(CONTROL, candidates, count, seed=seed).rows
    return {int(row): int(TRUTH[row]) for row in rows}


def test_twenty_labels_find_the_good_candidate_among_others():
    candidates = {"good": GOOD, "bad": BAD, "even": EVEN}
    right = 0
    for seed in range(20):
        decision = decide(ask(candidates, 20, seed), CONTROL, candidates)
        assert decision.chosen in ("good", "control")
        right += decision.chosen == "good"
    assert right >= 12


def test_wins_losses_and_gain_are_counted_where_the_two_differ():
    asked = ask({"good": GOOD}, 12)
    score = decide(asked, CONTROL, {"good": GOOD, "bad": BAD}).scores["good"]
    rows = np.array(list(asked))
    assert score.wins == (GOOD[rows] == TRUTH[rows]).sum()
    assert score.losses == (CONTROL[rows] == TRUTH[rows]).sum()
    assert score.asked == 12 and score.num_disagreeing == 330
    assert score.low < 27 < score.high  # (300 - 30) / 1000


def test_a_label_tells_of_every_candidate_and_others_are_ignored():
    candidates = {"good": GOOD, "bad": BAD}
    same = np.flatnonzero((GOOD == CONTROL) & (BAD == CONTROL))[:3]
    both = np.flatnonzero((GOOD != CONTROL) & (BAD != CONTROL))[:2]
    asked = {int(row): int(TRUTH[row]) for row in [*same, *both]}
    decision = decide(asked, CONTROL, candidates)
    assert (decision.num_labels, decision.num_ignored) == (2, 3)
    assert [score.asked for score in decision.scores.values()] == [2, 2]


def test_without_labels_the_fallback_or_the_control_stays():
    decision = decide({}, CONTROL, {"good": GOOD}, fallback="good")
    assert (decision.chosen, decision.proven) == ("good", False)
    assert "does not speak against" in decision.reason
    assert decide({}, CONTROL, {"good": GOOD}).chosen == "control"
    assert decide({}, CONTROL, {"good": GOOD}, fallback="control").chosen == "control"


def test_a_fallback_against_which_the_labels_speak_is_dropped():
    decision = decide(ask({"bad": BAD}, 20), CONTROL, {"bad": BAD}, fallback="bad")
    assert (decision.chosen, decision.proven) == ("control", True)
    assert "no candidate is worth having" in decision.reason
    assert decision.labels_needed == 0


def test_a_proven_candidate_replaces_a_fallback_of_smaller_gain():
    candidates = {"good": GOOD, "small": candidate(20, 0)}
    decision = decide(ask(candidates, 40), CONTROL, candidates, fallback="small")
    assert decision.chosen == "good" and decision.proven
    assert "that is enough to adapt" in decision.reason


def test_the_labels_still_needed_are_about_as_many_as_it_then_takes():
    candidates = {"fair": candidate(120, 40)}
    estimates, taken = [], []
    for seed in range(20):
        asked = ask(candidates, 160, seed)
        items = list(asked.items())
        first = decide(dict(items[:8]), CONTROL, candidates)
        if not first.proven and first.scores["fair"].gain > 0:
            estimates.append(first.labels_needed)
        taken.append(
            next(
                count
                for count in range(1, 161)
                if decide(dict(items[:count]), CONTROL, candidates).proven
            )
        )
    assert len(estimates) >= 5
    assert np.median(taken) / 4 < 8 + np.median(estimates) < 4 * np.median(taken)


def test_with_all_rows_asked_nothing_is_left_to_ask():
    candidates = {"even": EVEN, "better": candidate(12, 10)}
    decision = decide(ask(candidates, 10_000), CONTROL, candidates, tolerance=0)
    assert decision.chosen == "better" and decision.proven
    score = decision.scores["better"]
    assert score.gain == score.low == score.high == pytest.approx(0.2)
    kept = decide(ask({"even": EVEN}, 10_000), CONTROL, {"even": EVEN}, tolerance=0)
    assert kept.chosen == "control" and kept.labels_needed == 0


def test_the_plain_count_of_wins_and_losses_can_be_taken_instead():
    rows = np.flatnonzero((GOOD != CONTROL) & (GOOD == TRUTH))
    for count, chosen in ((4, "control"), (5, "good")):  # 5 >= 1.64 sqrt(5) + 1 > 4
        asked = {int(row): int(TRUTH[row]) for row in rows[:count]}
        decision = decide(asked, CONTROL, {"good": GOOD}, test="counts")
        assert decision.chosen == chosen


def test_an_even_candidate_is_seldom_taken_however_often_one_looks():
    candidates = {"even": candidate(100, 110), "also": candidate(90, 100, 3)}
    wrong = 0
    for seed in range(40):
        items = list(ask(candidates, 80, seed).items())
        looks = (
            decide(dict(items[:n]), CONTROL, candidates) for n in range(10, 81, 10)
        )
        wrong += any(look.chosen != "control" for look in looks)
    assert wrong <= 12  # twice 0.15 at most


def test_labels_may_be_names():
    control, better = np.array(["a"] * 8), np.array(["b"] * 8)
    decision = decide({row: "b" for row in range(8)}, control, {"better": better})
    assert decision.chosen == "better"


@pytest.mark.parametrize(
    ("arguments", "settings", "message"),
    [
        (
            ({1000: 0}, CONTROL, {"a": GOOD}),
            {},
            r"Received: asked with \[(np.int64\()?1000",
        ),
        (({}, CONTROL, {"a": GOOD[:5]}), {}, "Received: control_labels.shape"),
        (({}, CONTROL, {"a": GOOD}), {"fallback": "b"}, "Received: fallback='b'"),
        (({}, CONTROL, {"a": GOOD}), {"test": "t"}, "Received: test='t'"),
        (({}, CONTROL, {"a": GOOD}), {"error": 0.0}, "Received: error=0.0"),
        (({}, CONTROL, {"a": GOOD}), {"tolerance": -1}, "Received: tolerance=-1"),
    ],
)
def test_wrong_values_are_refused(arguments, settings, message):
    with pytest.raises(ValueError, match=message):
        decide(*arguments, **settings)


def test_wrong_types_are_refused():
    with pytest.raises(TypeError, match="Received: asked of type list"):
        decide([(0, 1)], CONTROL, {"a": GOOD})
    with pytest.raises(TypeError, match=r"Received: asked with \['cat'\]"):
        decide({0: "cat"}, CONTROL, {"a": GOOD})
