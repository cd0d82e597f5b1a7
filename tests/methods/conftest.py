"""Two shifted problems, both small."""

import numpy as np
import pytest

from tests.domains import build_moved
from tftransfer.methods.problem import Problem


@pytest.fixture(scope="session")
def moved():
    return build_moved()


@pytest.fixture
def waves3():
    """Fixed rows, three wide, on which the values of other libraries were computed."""
    i, j = np.arange(36.0).reshape(12, 3), np.arange(24.0).reshape(8, 3)
    return np.sin(1.7 * i) * 2 + np.cos(i**2), np.sin(2.3 * j + 1) + 0.7


@pytest.fixture
def turned():
    """Problem and target labels where the features of the target are correlated."""
    draw = np.random.default_rng(2).normal
    labels, truth = np.arange(300) % 2, np.arange(260) % 2
    source = draw(size=(300, 2)) + 4 * labels[:, None] * [1, 0]
    target = (draw(size=(260, 2)) + 4 * truth[:, None] * [1, 0]) @ [[1, 0], [2, 1]]
    return Problem(source, labels, target, 2), truth
