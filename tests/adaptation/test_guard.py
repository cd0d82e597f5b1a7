import types

import numpy as np
import pytest

from tftransfer.adaptation.guard import WITNESSES, Evidence, decide
from tftransfer.adaptation.judge import Judge
from tftransfer.adaptation.shares import Shares
from tftransfer.methods.problem import Candidate

CLOSE = Shares(found=0.1, detectable=0.2, of_control=0.5)
NEAR = Shares(found=0.18, detectable=0.2, of_control=0.5)
FAR = Shares(found=0.21, detectable=0.2, of_control=0.5)
BLIND = Shares(found=0.0, detectable=0.02, of_control=0.1)


def candidate(name, calls):
    probabilities = np.where(np.eye(3)[calls] > 0, 0.6, 0.2)
    return Candidate(name, probabilities, lambda rows: probabilities[: len(rows)])


def changed(*rows, to=1, count=10):
    calls = np.zeros(count, int)
    calls[list(rows)] = to
    return calls


def decide_on(judge=(), witnesses=None, count=10, **evidence):
    """The ensemble changes rows 0 to 3, what is in target units rows 0 to 4.

    Neighbors change rows 0 and 5, as the other witnesses do; rescaling changes row 9.
    """
    control = candidate("control", changed(count=count))
    control = types.SimpleNamespace(labels=changed(count=count), **vars(control))
    calls = {name: changed(0, 5, count=count) for name in WITNESSES}
    calls |= {"eD": changed(*range(5), count=count), **(witnesses or {})}
    calls |= {"E10": changed(*range(4), count=count), "adabn": changed(9, count=count)}
    candidates = {name: candidate(name, each) for name, each in calls.items()}
    judging = candidate("judge", changed(*judge, count=count))
    known = {"auc": 0.9, "competence": 0.8, "left": 0.6, "shares": CLOSE} | evidence
    return decide(
        control,
        candidates,
        Judge(judging.probabilities, judging.predict),
        Evidence(**known),
    )


def test_a_loss_with_close_shares_takes_the_methods_in_target_units():
    decision = decide_on()
    assert decision.verdict == "adapted"
    assert decision.labels.tolist() == changed(*range(5)).tolist()
    assert decision.reasons == [
        "of what the control knows on the source 60% seems to be left on the target, "
        "at most 80%",
        "class shares look like those of the source (distance 0.10, where a real "
        "change shows 0.20)",
        "eD changes 5 of 10 calls",
    ]
    assert decision.scores == {
        **{"auc": 0.9, "competence": 0.8, "left": 0.6, "vote": -2.0},
        **{"shares_found": 0.1, "shares_detectable": 0.2, "shares_of_control": 0.5},
    }


def test_shares_that_may_differ_a_little_take_what_neighbors_say():
    decision = decide_on(shares=NEAR, count=200)
    assert decision.labels.tolist() == changed(0, 5, count=200).tolist()
    assert "may differ a little" in decision.reasons[1]
    assert decision.reasons[2] == "D.lp changes 2 of 200 calls"
    few = decide_on(shares=NEAR, count=199)
    assert few.labels.tolist() == changed(9, count=199).tolist()


def test_a_loss_that_no_shares_explain_rescales():
    decision = decide_on(shares=FAR, left=0.4)
    assert decision.verdict == "adapted"
    assert decision.labels.tolist() == changed(9).tolist()
    assert decision.reasons[2:] == [
        "but other shares alone would not take so much",
        "adabn changes 1 of 10 calls",
    ]
    assert decide_on(shares=FAR, left=0.41).verdict == "kept source-only"
    assert decide_on(shares=NEAR, left=0.4, count=200).labels.sum() == 2
    assert decide_on(shares=CLOSE, left=0.4).labels.sum() == 5


def test_other_shares_leave_only_calls_on_which_all_agree():
    decision = decide_on(judge=(0, 5), shares=FAR)
    assert decision.verdict == "adapted in part"
    assert decision.labels.tolist() == changed(0).tolist()
    assert "seem to differ" in decision.reasons[1]
    assert "in 1 of 10 rows S.cbst, S.mcc, S.lp(0.5), D.lp, eD" in decision.reasons[2]
    np.testing.assert_allclose(decision.probabilities.sum(axis=1), 1)
    further = decision.predict(np.zeros((4, 2)))
    np.testing.assert_allclose(further, decision.probabilities[:4])


@pytest.mark.parametrize(
    "dissent",
    [{"judge": ()}, {"judge": (0,), "witnesses": {"S.mcc": changed(0, to=2)}}],
)
def test_all_must_name_the_same_class(dissent):
    decision = decide_on(shares=FAR, **dissent)
    assert decision.verdict == "kept source-only"
    assert "in no row" in decision.reasons[2]
    assert not decision.labels.any()


def test_where_shares_cannot_be_seen_the_calls_of_the_control_must_have_them():
    assert decide_on(shares=BLIND).verdict == "kept source-only"
    assert "do not look like" in decide_on(shares=BLIND).reasons[1]
    seen = Shares(found=0.0, detectable=0.02, of_control=0.08)
    assert decide_on(shares=seen).verdict == "adapted"
    assert "calls look like" in decide_on(shares=seen).reasons[1]
    assert decide_on(shares=seen).labels.tolist() == changed(9).tolist()


def test_where_shares_cannot_be_seen_next_to_nothing_must_be_left():
    decision = decide_on(shares=BLIND, left=0.1, count=200)
    assert decision.verdict == "adapted"
    assert decision.labels.tolist() == changed(0, 5, count=200).tolist()
    assert "cannot tell" in decision.reasons[2]
    assert decide_on(shares=BLIND, left=0.11).verdict == "kept source-only"


def test_without_a_loss_the_judge_decides():
    sides, not_sides = (0, 1, 2, 3), (0, 1)
    decision = decide_on(judge=sides, left=0.81, count=200)
    assert decision.verdict == "adapted"
    assert "clusters side with the changes (vote 2.0" in decision.reasons[2]
    decision = decide_on(judge=not_sides, left=0.81, count=200)
    assert decision.verdict == "kept source-only"
    assert "do not side" in decision.reasons[2]
    assert decide_on(judge=sides, left=0.81, count=200, shares=NEAR).verdict == (
        "kept source-only"
    )


def test_a_small_loss_is_left_alone_where_shares_cannot_be_seen():
    seen = Shares(found=0.0, detectable=0.02, of_control=0.08)
    decision = decide_on(judge=(0, 1, 2, 3), left=0.81, count=200, shares=seen)
    assert decision.verdict == "kept source-only"
    assert "left alone where shares cannot be seen" in decision.reasons[-1]


def test_of_few_rows_the_judge_is_not_asked():
    decision = decide_on(judge=(0, 1, 2, 3), left=0.81, count=199)
    assert decision.verdict == "kept source-only"
    assert "199 target rows are too few" in decision.reasons[2]


@pytest.mark.parametrize(
    ("gates", "reason"),
    [
        ({"auc": 0.599}, "no shift found"),
        ({"competence": 0.499}, "first get a better source model"),
    ],
)
def test_a_closed_gate_keeps_the_control_whatever_else(gates, reason):
    decision = decide_on(judge=(0, 1, 2, 3), **gates)
    assert decision.verdict == "kept source-only"
    assert reason in decision.reasons[0]
    assert not decision.labels.any()


def test_both_gates_are_told():
    decision = decide_on(auc=0.5, competence=-0.1)
    assert len(decision.reasons) == 2
    assert "0%" in decision.reasons[1]
