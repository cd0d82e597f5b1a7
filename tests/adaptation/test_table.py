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
