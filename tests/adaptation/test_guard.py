import types

import numpy as np
import pytest

from tftransfer.adaptation.guard import decide
from tftransfer.adaptation.judge import Judge
from tftransfer.methods.problem import Candidate

OPEN = {"auc": 0.9, "competence": 0.8}
CALLS = np.zeros(10, int)


def candidate(name, calls):
    probabilities = np.where(np.eye(3)[calls] > 0, 0.6, 0.2)
    return Candidate(name, probabilities, lambda rows: probabilities[: len(rows)])


def control():
    found = candidate("control", CALLS)
    return types.SimpleNamespace(
        labels=CALLS, probabilities=found.probabilities, predict=found.predict
    )


def judge_of(calls):
    found = candidate("judge", calls)
    return Judge(found.probabilities, found.predict)


def changed(*rows, to=1):
    calls = CALLS.copy()
    calls[list(rows)] = to
    return calls


def decide_on(ensemble, witnesses, judge, **gates):
    named = [candidate(f"w{n}", calls) for n, calls in enumerate(witnesses)]
    return decide(
        control(), candidate("E10", ensemble), named, judge_of(judge), **OPEN | gates
    )


def test_a_vote_above_one_takes_the_ensemble_as_a_whole():
    decision = decide_on(changed(0, 1, 2, 3), [CALLS] * 3, changed(0, 1, 2, 3))
    assert decision.verdict == "adapted"
    assert decision.labels.tolist() == changed(0, 1, 2, 3).tolist()
    assert "4 of 10 calls" in decision.reasons[0]
    assert "vote 2.0, above 1" in decision.reasons[0]
    assert decision.scores == OPEN | {"vote": 2.0}


def test_a_vote_of_just_one_is_not_enough():
    decision = decide_on(changed(0), [CALLS] * 3, changed(0))
    assert decision.scores["vote"] == 1
    assert decision.verdict == "kept source-only"


def test_else_only_calls_on_which_all_agree_are_changed():
    witnesses = changed(0, 1), changed(0, 2), changed(0, 3)
    decision = decide_on(changed(0, 5, 6, 7), witnesses, changed(0))
    assert decision.verdict == "adapted in part"
    assert decision.labels.tolist() == changed(0).tolist()
    assert "in 1 of 10 rows w0, w1, w2 and the judge" in decision.reasons[1]
    np.testing.assert_allclose(decision.probabilities.sum(axis=1), 1)
    further = decision.predict(np.zeros((4, 2)))
    np.testing.assert_allclose(further, decision.probabilities[:4])


def test_all_must_name_the_same_class():
    witnesses = changed(0), changed(0, to=2), changed(0)
    decision = decide_on(changed(0, 1, 2), witnesses, changed(0))
    assert decision.verdict == "kept source-only"
    assert "in no row" in decision.reasons[1]
    assert decision.labels.tolist() == CALLS.tolist()


@pytest.mark.parametrize(
    ("gates", "reason"),
    [
        ({"auc": 0.599}, "no shift found"),
        ({"competence": 0.499}, "first get a better source model"),
    ],
)
def test_a_closed_gate_keeps_the_control_whatever_the_vote(gates, reason):
    calls = changed(0, 1, 2, 3)
    decision = decide_on(calls, [calls] * 3, calls, **gates)
    assert decision.verdict == "kept source-only"
    assert reason in decision.reasons[0]
    assert decision.labels.tolist() == CALLS.tolist()


def test_both_gates_are_told():
    decision = decide_on(CALLS, [CALLS] * 3, CALLS, auc=0.5, competence=-0.1)
    assert len(decision.reasons) == 2
    assert "0%" in decision.reasons[1]
