import numpy as np
import pytest


@pytest.fixture
def classes():
    """300 rows of 12 features about the means of 4 classes, and their labels."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 300)
    means = 0.7 * rng.normal(size=(4, 12))
    return rng.normal(size=(300, 12)) + means[labels], labels


@pytest.fixture
def values():
    """200 rows of 8 features, and two values that depend on them."""
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(200, 8))
    return rows, rows @ rng.normal(size=(8, 2)) + 2 * rng.normal(size=(200, 2)) + 3


@pytest.fixture
def rng():
    return np.random.default_rng(7)
