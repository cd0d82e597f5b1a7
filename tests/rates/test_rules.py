import keras
import numpy as np
import pytest

from tftransfer.rates.layerwise_rates import LayerwiseRates
from tftransfer.rates.rules import Rule, check_optimizer, copy_bare


class Counting(keras.optimizers.SGD):
    """Keeps a number that belongs to no weight."""

    def build(self, variables):
        super().build(variables)
        self.number = self.add_variable((), name="number")


class Whole(keras.optimizers.SGD):
    """Does more in a step than each weight for itself."""

    def apply(self, grads, trainable_variables=None):
        super().apply([2 * x for x in grads], trainable_variables)


class Own(keras.optimizers.SGD):
    """Written as Keras asks for."""

    def update_step(self, gradient, variable, learning_rate):
        super().update_step(2 * gradient, variable, learning_rate)


def test_slots_belong_to_weights(build):
    variables = build().trainable_variables
    slots = Rule(copy_bare(keras.optimizers.Adam()), variables).slots(variables[0])
    assert [x.path.rpartition("_")[2] for x in slots] == ["momentum", "velocity"]
    assert {tuple(x.shape) for x in slots} == {(6, 8)}
    plain = Rule(copy_bare(keras.optimizers.SGD()), variables)
    assert plain.slots(variables[0]) == []


def test_settings_that_concern_all_weights_are_left_to_others(build):
    variables = build().trainable_variables
    optimizer = keras.optimizers.SGD(use_ema=True, gradient_accumulation_steps=2)
    assert Rule(copy_bare(optimizer), variables).slots(variables[0]) == []
    assert optimizer.use_ema


def test_an_optimizer_of_ones_own_serves(build, gradients):
    one, other = build(), build()
    ours = LayerwiseRates(Own(0.1))
    ours.apply(gradients(one.trainable_variables, 0), one.trainable_variables)
    bare = keras.optimizers.SGD(0.2)
    bare.apply(gradients(other.trainable_variables, 0), other.trainable_variables)
    np.testing.assert_allclose(one.weights[0], other.weights[0], rtol=1e-6)


def test_a_number_for_all_weights_together_is_refused(build):
    with pytest.raises(ValueError, match="Received: Counting, which keeps '.*number'"):
        LayerwiseRates(Counting()).build(build().trainable_variables)


@pytest.mark.parametrize(
    ("optimizer", "message"),
    [
        (None, "Received: optimizer of type NoneType"),
        (keras.optimizers.SGD, "Received: optimizer of type type"),
        (
            keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD()),
            "Received: LossScaleOptimizer. Wrap the other way round",
        ),
        (
            keras.optimizers.MultiOptimizer(
                keras.optimizers.OptimizerMap(keras.optimizers.SGD())
            ),
            "Received: MultiOptimizer",
        ),
        (LayerwiseRates("sgd"), "Received: LayerwiseRates"),
        (Whole(), r"Received: Whole, whose class defines apply\(\)"),
    ],
)
def test_what_is_no_plain_optimizer_is_refused(optimizer, message):
    with pytest.raises((TypeError, ValueError), match=message):
        check_optimizer(optimizer)


def test_a_used_optimizer_is_refused(build):
    optimizer = keras.optimizers.Adam()
    optimizer.build(build().trainable_variables)
    with pytest.raises(ValueError, match="Received: optimizer that has been built"):
        LayerwiseRates(optimizer)


def test_names_of_optimizers_serve():
    assert isinstance(check_optimizer("adamw"), keras.optimizers.AdamW)
