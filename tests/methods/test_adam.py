import keras
import numpy as np
import pytest

from tftransfer.methods.adam import minimize_by_adam


def test_steps_are_those_of_keras_with_a_falling_rate():
    rate, steps = 0.1, 20
    schedule = keras.optimizers.schedules.PolynomialDecay(rate, steps, 0.0)
    optimizer = keras.optimizers.Adam(schedule, epsilon=1e-8)
    start = np.array([3.0, -2.0, 0.5])
    variable = keras.Variable(start, dtype="float64")
    for _ in range(steps):
        optimizer.apply([4 * keras.ops.power(variable, 3)], [variable])
    (found,) = minimize_by_adam(
        lambda step, values: [4 * values[0] ** 3], [start], rate=rate, steps=steps
    )
    np.testing.assert_allclose(found, variable.numpy(), atol=1e-5)
    assert start.tolist() == [3.0, -2.0, 0.5]


def test_the_first_step_is_as_long_as_the_rate():
    (found,) = minimize_by_adam(
        lambda step, values: [np.array([1e-3, 1e3])], [np.zeros(2)], rate=0.1, steps=1
    )
    assert found == pytest.approx([-0.1, -0.1], rel=1e-4)
