"""Nothing is found in sound set-ups, however near they are to broken ones."""

import pytest

from tests.doctor.sound import SLOW, SOUND
from tftransfer.diagnosis.diagnose import diagnose

CASES = [
    pytest.param(
        make, id=make.__name__, marks=[pytest.mark.slow] if make in SLOW else []
    )
    for make in SOUND
]


@pytest.mark.parametrize("make", CASES)
def test_nothing_is_found(make, tmp_path):
    diagnosis = diagnose(**make(tmp_path))
    assert not diagnosis, diagnosis
    assert diagnosis.checked


def test_there_are_enough_of_them():
    assert len(SOUND) >= 20
