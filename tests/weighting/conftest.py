"""Small pairs of domains whose density ratio is known."""

import numpy as np
import pytest


@pytest.fixture
def waves():
    """Fixed rows on which the values of other libraries were computed."""
    i, j = np.arange(24.0).reshape(12, 2), np.arange(16.0).reshape(8, 2)
    return np.sin(1.7 * i) * 2 + np.cos(i**2), np.sin(2.3 * j + 1) + 0.7


@pytest.fixture
def gaussians(rng):
    """Two Gaussians: rows of source and target, and the true log ratio."""
    source = rng.normal(size=(500, 2))
    target = rng.normal(size=(400, 2)) * 0.7 + [0.8, 0.0]
    of_target = -((source - [0.8, 0.0]) ** 2).sum(axis=1) / (2 * 0.49) - np.log(0.49)
    return source, target, of_target + (source**2).sum(axis=1) / 2
