import dataclasses

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score

from tftransfer.adaptation.gates import competence, domain_auc
from tftransfer.methods.problem import Problem


def problem_of(target, seed=0):
    rows = np.random.default_rng(5).normal(size=(600, 10))
    return Problem(rows, np.arange(600) % 2, target, 2, seed)


@pytest.mark.parametrize("count", [40, 600])
def test_without_a_shift_the_domains_cannot_be_told_apart(rng, count):
    areas = [domain_auc(problem_of(rng.normal(size=(count, 10)))) for _ in range(5)]
    assert abs(np.mean(areas) - 0.5) < 0.06
    assert max(areas) < 0.6


@pytest.mark.parametrize("change", ["mean", "noise"])
def test_a_shift_is_seen_in_the_means_and_in_the_spreads(rng, change):
    target = rng.normal(size=(600, 10))
    target = target + 0.5 if change == "mean" else target * 1.5
    assert domain_auc(problem_of(target)) > 0.75


def test_competence_is_balanced_accuracy_between_chance_and_one(moved):
    problem, control, _ = moved
    calls = control.held_out.argmax(axis=1)
    expected = balanced_accuracy_score(problem.labels, calls, adjusted=True)
    assert competence(control, problem.labels) == pytest.approx(expected)
    guess = dataclasses.replace(control, held_out=np.tile([1.0, 0, 0], (240, 1)))
    assert competence(guess, problem.labels) == pytest.approx(0)
