"""Every break is found, and nothing else, in set-ups after public issues."""

import pytest

from tests.doctor.broken import BROKEN
from tftransfer.diagnosis.diagnose import diagnose


@pytest.mark.parametrize(
    ("name", "issue", "make"), BROKEN, ids=[make.__name__ for _, _, make in BROKEN]
)
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
