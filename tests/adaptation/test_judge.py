import dataclasses

import numpy as np
import pytest

from tftransfer.adaptation.judge import fit_judge


def test_the_vote_counts_changed_rows_only(judge):
    # Changed: rows 0-3 to class 1 (the judge agrees), row 4 to class 1 (it does not).
    control, labels = np.zeros(6, int), np.array([1, 1, 1, 1, 1, 0])
    assert judge.vote(control, labels) == pytest.approx((4 - 1) / np.sqrt(5))


def test_the_vote_of_no_change_is_zero(judge):
    assert judge.vote(np.zeros(6, int), np.zeros(6, int)) == 0


def test_it_outvotes_wrong_calls_scattered_over_the_target(moved):
    problem, control, truth = moved
    calls = truth.copy()
    wrong = np.random.default_rng(1).choice(len(truth), 60, replace=False)
    calls[wrong] = (truth[wrong] + 1) % 3
    noisy = dataclasses.replace(control, probabilities=np.eye(3)[calls])
    judge = fit_judge(problem, noisy)
    assert judge.vote(calls, truth) > 6  # of at most sqrt(60) = 7.7
    right = np.mean(judge.predict(problem.target).argmax(axis=1) == truth)
    assert right > 0.9


def test_no_row_is_judged_by_what_it_taught(moved):
    problem, control, _ = moved
    # Labels at random cannot be predicted; by a model that saw them, they could.
    calls = np.random.default_rng(0).integers(0, 3, len(problem.target))
    blind = dataclasses.replace(control, probabilities=np.eye(3)[calls])
    judged = fit_judge(problem, blind).probabilities.argmax(axis=1)
    assert abs(np.mean(judged == calls) - 1 / 3) < 0.1
