"""Every break is found, and nothing else, in set-ups after public issues."""

import pytest

from tests.doctor.broken import BROKEN, SLOW
from tftransfer.diagnosis.diagnose import diagnose

CASES = [
    pytest.param(
        *row, id=row[2].__name__, marks=[pytest.mark.slow] if row[2] in SLOW else []
    )
    for row in BROKEN
]


@pytest.mark.parametrize(("name", "issue", "make"), CASES)
def test_the_break_is_found_and_nothing_else(name, issue, make, tmp_path):
    diagnosis = diagnose(**make(tmp_path))
    assert diagnosis.names == [name], f"{issue}\n{diagnosis}"
    finding = diagnosis.findings[0]
    assert finding.severity in ("error", "warning")
    assert finding.evidence
    assert finding.consequence
    assert finding.repair


def test_there_are_enough_of_them():
    assert len({issue for _, issue, _ in BROKEN}) >= 20
