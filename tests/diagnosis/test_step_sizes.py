import keras
import numpy as np
import pytest

from tftransfer.diagnosis.case import Case
from tftransfer.diagnosis.finding import NotChecked
from tftransfer.diagnosis.reading import read_rows
from tftransfer.diagnosis.step_sizes import measure_steps


def build_case(optimizer, bias=1.0):
    """Matrices of ones, so that an optimizer's step over the norm is its rate."""
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(6, kernel_initializer="ones"),
            keras.layers.Dense(1, kernel_initializer="ones"),
        ]
    )
    model.layers[0].bias.assign(np.full(6, bias))
    model.compile(optimizer, "mse")
    data = np.ones((32, 4), "float32"), np.full((32, 1), 1000.0)
    return Case(model, train=read_rows("data", data, 8))


def test_a_step_of_adam_is_its_rate_over_the_size_of_a_weight():
    sizes = measure_steps(build_case(keras.optimizers.Adam(1e-3)))
    assert sizes.backbone == pytest.approx(1e-3, rel=1e-2)
    assert sizes.rate == pytest.approx(1e-3)
    assert sizes.num_weights == 1
    assert sizes.is_head_new
    assert sizes.finite


def test_a_schedule_counts_at_its_highest():
    warm = keras.optimizers.schedules.PolynomialDecay(0.0, 4, 1e-2)
    sizes = measure_steps(build_case(keras.optimizers.Adam(warm)))
    assert sizes.rate == pytest.approx(1e-2)


def test_weights_are_as_before():
    case = build_case(keras.optimizers.SGD(1e-4))
    before = [x.numpy() for x in case.model.weights]
    measure_steps(case)
    for old, weight in zip(before, case.model.weights, strict=True):
        np.testing.assert_array_equal(old, weight.numpy())


def test_losses_that_are_not_finite_are_told():
    assert not measure_steps(build_case(keras.optimizers.SGD(1e30))).finite


def test_layers_without_traces_of_training_are_not_judged():
    with pytest.raises(NotChecked, match="no layer below the head has been trained"):
        measure_steps(build_case("adam", bias=0.0))
