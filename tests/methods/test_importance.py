import dataclasses

import numpy as np
import pytest

from tftransfer.methods.control import fit_control
from tftransfer.methods.importance import WEIGHTINGS, reweighted
from tftransfer.methods.problem import Problem


@pytest.fixture
def covariate_shift(rng):
    """A curved border: a straight one fits best where the rows are."""
    source = rng.uniform(-3, 3, size=(500, 1))
    target = rng.uniform(1.0, 3.0, size=(300, 1))

    def label(rows):
        return ((rows[:, 0] > 2) | (rows[:, 0] < -1)).astype(int)

    return Problem(source, label(source), target, 2), label(target)


@pytest.mark.parametrize("weighting", sorted(WEIGHTINGS))
def test_rows_like_the_target_are_fitted_better(covariate_shift, weighting):
    problem, truth = covariate_shift
    # What the weights do, without a penalty that hardly lets the border move.
    control = dataclasses.replace(fit_control(problem), penalty=1e-3)
    candidate = reweighted(problem, control, weighting=weighting)
    gain = (candidate.probabilities.argmax(axis=1) == truth).mean() - (
        control.labels == truth
    ).mean()
    assert gain > 0.1 and candidate.name == weighting
    again = candidate.predict(problem.target[:7])
    np.testing.assert_allclose(again, candidate.probabilities[:7], atol=1e-12)


def test_an_unknown_weighting_is_refused(covariate_shift):
    problem, _ = covariate_shift
    with pytest.raises(ValueError, match="Received: weighting='kernel'"):
        reweighted(problem, fit_control(problem), weighting="kernel")
