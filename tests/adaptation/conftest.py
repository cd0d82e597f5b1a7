"""Small problems whose answers are known."""

import numpy as np
import pytest

from tftransfer.adaptation.control import fit_control
from tftransfer.adaptation.problem import Problem

MEANS = np.array([[0, 0, 0, 0], [4, 0, 0, 0], [0, 4, 0, 0]], float)


def draw_domain(count, seed, shift=0.0):
    """Three classes around `MEANS`, unit noise, all moved along the first axis."""
    labels = np.arange(count) % 3
    rows = MEANS[labels] + np.random.default_rng(seed).normal(size=(count, 4))
    return rows + [shift, 0, 0, 0], labels


@pytest.fixture(scope="session")
def moved():
    """Problem, control, and labels of a target moved by 1.5."""
    source, labels = draw_domain(240, 0)
    target, truth = draw_domain(300, 1, shift=1.5)
    problem = Problem(source, labels, target, 3)
    return problem, fit_control(problem), truth


@pytest.fixture
def judge():
    """A judge of six rows that prefers class 1 in the first four."""
    from tftransfer.adaptation.judge import Judge

    says_one = np.arange(6) < 4
    return Judge(np.stack([~says_one, says_one], axis=1).astype(float), None)


def accuracy(candidate, truth):
    return float(np.mean(candidate.probabilities.argmax(axis=1) == truth))


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
