import dataclasses
import re
import types

import numpy as np
import pytest

import tftransfer as tft
from tftransfer.adaptation import network_choice
from tftransfer.adaptation.network_choice import choose_network


class Votes:
    """A judge that says what the test wants: against the control, and the choice."""

    def __init__(self, control, votes):
        self.control, self.votes = control, votes

    def vote(self, before, labels):
        against_control = np.array_equal(before, self.control)
        return self.votes[int(labels[0])][0 if against_control else 1]


@pytest.fixture(scope="module")
def plain():
    draw = np.random.default_rng(0).normal
    labels = np.arange(120) % 3
    source = draw(size=(120, 3)) + 4.0 * np.eye(3)[labels]
    target = draw(size=(120, 3)) + 4.0 * np.eye(3)[labels] + 0.3
    held = {}

    def hold(problem, control):
        held.update(problem=problem, control=control)

    result = tft.adapt_features(source, labels, target, methods=[hold], verbose=0)
    return result, held


@pytest.fixture
def choose(plain, monkeypatch):
    """Choose among networks of which number k calls the first row k."""

    def run(votes, *, auc=0.9, competence=0.9, spoil=None, known=1.0):
        result, held = plain
        control = held["control"]
        calls = {}
        for number in votes:
            labels = control.labels.copy()
            labels[0] = number
            if spoil is not None:
                labels[labels == spoil] = number
            calls[f"E.{number}"] = np.eye(3)[labels]
        # What was chosen on features differs from the control in its last row.
        chosen = control.probabilities.copy()
        chosen[-1] = chosen[-1][::-1]
        result = dataclasses.replace(
            result,
            candidates={**result.candidates, **calls, "chosen": chosen},
            models={**result.models, **dict.fromkeys(calls, "a student")},
            scores={"auc": auc, "competence": competence, "vote": 0.0},
        )
        judge = Votes(control.labels, votes)
        monkeypatch.setattr(network_choice, "fit_judge", lambda *both: judge)
        trials = types.SimpleNamespace(
            models=dict.fromkeys(calls, "a network"),
            source_accuracy=dict.fromkeys(calls, known),
            notes=["told"],
            **held,
        )
        return result, choose_network(result, trials)

    return run


def test_what_the_judge_sides_with_is_taken(choose):
    before, after = choose({0: (1.5, 0.1), 1: (4.0, 0.0), 2: (0.9, 3.0)})
    assert after.choice == "E.1" and after.verdict == "adapted"
    np.testing.assert_array_equal(after.predict_proba(), after.candidates["E.1"])
    assert after.model == "a student"
    assert after.reasons[0].startswith("E.1, trained end to end, knows the source")
    assert "(vote 4.0, above 1)" in after.reasons[0]
    assert after.reasons[1].startswith("on features alone: ")
    assert after.notes[: len(before.notes) + 1] == [*before.notes, "told"]
    assert "(vote 0.9, not above 1); asked labels may say more" in after.notes[-1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"votes": {1: (1.0, 5.0)}}, r"do not side with its changes \(vote 1.0"),
        ({"votes": {1: (5.0, -0.5)}}, r"side against it \(vote -0.5\)"),
        ({"votes": {1: (5.0, 5.0)}, "spoil": 2}, "class 2 vanished"),
        ({"votes": {1: (5.0, 5.0)}, "known": 0.5}, "less well, 50.0% of it against"),
    ],
)
def test_what_anything_speaks_against_is_not(choose, options, message):
    before, after = choose(**options)
    assert after.choice == before.choice and after.verdict == before.verdict
    assert after.candidates["chosen"] is before.candidates["chosen"]
    (note,) = after.notes[len(before.notes) + 1 :]
    assert note.startswith("E.1 is not chosen: ")
    assert re.search(message, note)


@pytest.mark.parametrize("gate", [{"auc": 0.59}, {"competence": 0.49}])
def test_behind_closed_gates_nothing_is_taken(choose, gate):
    before, after = choose({1: (9.0, 9.0)}, **gate)
    assert after.choice == before.choice
    assert after.notes == [*before.notes, "told"]
