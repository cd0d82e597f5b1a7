import numpy as np
import pytest

from tftransfer.methods.descent import descend
from tftransfer.methods.domain_standardization import adabn


def no_slope(step, model):
    return [0 * model.weights, 0 * model.bias]


def test_without_a_slope_the_control_stays(moved):
    problem, control, _ = moved
    found = descend("still", problem, control, no_slope, units="source", steps=3)
    assert found.name == "S.still"
    np.testing.assert_array_equal(found.probabilities, control.probabilities)
    np.testing.assert_array_equal(found.predict(problem.target), found.probabilities)


def test_target_units_are_those_of_the_target(moved):
    problem, control, _ = moved
    found = descend("still", problem, control, no_slope, units="target", steps=3)
    assert found.name == "D.still"
    expected = adabn(problem, control).probabilities
    np.testing.assert_array_equal(found.probabilities, expected)


def test_the_first_step_is_as_long_as_the_rate(moved):
    problem, control, _ = moved
    rate = 0.08 / np.sqrt(problem.source.shape[1])

    def slopes(step, model):
        assert step == 0
        return [np.ones_like(model.weights), -np.ones_like(model.bias)]

    found = descend("down", problem, control, slopes, units="source", steps=1)
    model = found.predict.model
    np.testing.assert_allclose(model.weights, control.weights - rate)
    np.testing.assert_allclose(model.bias, control.bias + rate)


def test_other_units_are_refused(moved):
    problem, control, _ = moved
    with pytest.raises(ValueError, match="Received: units='both'"):
        descend("still", problem, control, no_slope, units="both", steps=1)
