import types

import numpy as np
import pytest

from tftransfer.adaptation.table import CandidateTable, make_table
from tftransfer.methods.problem import Candidate


def test_each_candidate_has_a_row_with_scores_worked_by_hand(judge):
    kept = np.tile([1.0, 0.0], (6, 1))
    control = types.SimpleNamespace(
        name="control", probabilities=kept, labels=np.zeros(6, int)
    )
    torn = Candidate("torn", np.tile([0.4, 0.6], (6, 1)), None)
    table = make_table(control, [torn], judge, ["a", "b"])
    assert [row["name"] for row in table] == ["control", "torn"]
    assert table[0]["changed"] == table[0]["vote"] == table[0]["entropy"] == 0
    assert table[1]["changed"] == 1
    assert table[1]["confidence"] == pytest.approx(0.6)
    assert table[1]["entropy"] == pytest.approx(0.673, abs=1e-3)
    assert table[1]["vote"] == pytest.approx(2 / np.sqrt(6))  # four of six
    assert table[1]["warning"] == "100% of the control's calls are changed"


def test_it_prints_in_columns():
    row = {"name": "adabn", "changed": 0.25, "vote": -1.5, "warning": "odd"}
    assert str(CandidateTable([row])).splitlines() == [
        "candidate  calls changed    vote",
        "adabn              0.250  -1.500  odd",
    ]
    assert str(CandidateTable()) == "no candidates"


def test_further_scores_are_shown_on_request_alone():
    row = {"name": "adabn", "vote": 1.0, "a_distance": 0.5, "mmd": None, "warning": ""}
    table = CandidateTable([row])
    assert "A-distance" not in str(table)
    assert table.show(all_columns=True).splitlines() == [
        "candidate   vote  A-distance  MMD",
        "adabn      1.000       0.500    –",
    ]


def test_lines_are_cut_at_a_hundred_characters():
    row = {"name": "adabn", "vote": 1.0, "warning": "class 'b' vanished; " * 9}
    table = CandidateTable([row])
    assert max(map(len, str(table).splitlines())) == 100
    assert str(table).endswith("…")
    assert max(map(len, table.show(all_columns=True).splitlines())) > 100


def test_what_labels_say_is_shown_beside_the_candidates_they_judge():
    score = types.SimpleNamespace(
        asked=8, wins=5, losses=1, gain=3.25, low=-1.0, high=6.0, error_bound=0.2
    )
    rows = [{"name": "control", "vote": 0.0}, {"name": "adabn", "vote": 1.0}]
    table = CandidateTable(rows).with_scores({"adabn": score})
    assert table[0]["wins"] is None and table[1]["wins"] == 5
    assert str(table).splitlines() == [
        "candidate   vote  asked  right alone  wrong alone   gain    low   high",
        "control    0.000      –            –            –      –      –      –",
        "adabn      1.000      8            5            1  +3.25  -1.00  +6.00",
    ]
    assert "error bound" in table.show(all_columns=True)


def test_columns_of_others_are_taken_over(judge):
    kept = np.tile([1.0, 0.0], (6, 1))
    control = types.SimpleNamespace(
        name="control", probabilities=kept, labels=np.zeros(6, int)
    )
    scores = {"control": {"mmd": 0.1}}
    (row,) = make_table(control, [], judge, ["a", "b"], scores)
    assert row["mmd"] == 0.1 and list(row)[-1] == "warning"
