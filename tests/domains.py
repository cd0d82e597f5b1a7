"""Small problems whose answers are known."""

import numpy as np

from tftransfer.methods.control import fit_control
from tftransfer.methods.problem import Problem

MEANS = np.array([[0, 0, 0, 0], [4, 0, 0, 0], [0, 4, 0, 0]], float)


def draw_domain(count, seed, shift=0.0):
    """Three classes around `MEANS`, unit noise, all moved along the first axis."""
    labels = np.arange(count) % 3
    rows = MEANS[labels] + np.random.default_rng(seed).normal(size=(count, 4))
    return rows + [shift, 0, 0, 0], labels


def build_moved():
    """Problem, control, and labels of a target moved by 1.5."""
    source, labels = draw_domain(240, 0)
    target, truth = draw_domain(300, 1, shift=1.5)
    problem = Problem(source, labels, target, 3)
    return problem, fit_control(problem), truth


def accuracy(candidate, truth):
    return float(np.mean(candidate.probabilities.argmax(axis=1) == truth))
