"""A shifted problem and a judge, both small."""

import numpy as np
import pytest

from tests.domains import build_moved


@pytest.fixture(scope="session")
def moved():
    return build_moved()


@pytest.fixture
def judge():
    """A judge of six rows that prefers class 1 in the first four."""
    from tftransfer.adaptation.judge import Judge

    says_one = np.arange(6) < 4
    return Judge(np.stack([~says_one, says_one], axis=1).astype(float), None)
