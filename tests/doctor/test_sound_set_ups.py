"""Nothing is found in sound set-ups, however near they are to broken ones."""

import pytest

from tests.doctor.sound import SOUND
from tftransfer.diagnosis.diagnose import diagnose


@pytest.mark.parametrize("make", SOUND, ids=lambda make: make.__name__)
def test_nothing_is_found(make, tmp_path):
    diagnosis = diagnose(**make(tmp_path))
    assert not diagnosis, diagnosis
    assert diagnosis.checked


def test_there_are_enough_of_them():
    assert len(SOUND) >= 20
