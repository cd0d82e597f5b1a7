"""All optimizers of Keras: multiplier 1 is the bare one, m the bare one at m * rate."""

import keras
import numpy as np
import pytest

from tftransfer.rates.layerwise_rates import LayerwiseRates

WRAPPERS = ("Optimizer", "LossScaleOptimizer", "MultiOptimizer")
NAMES = [
    name
    for name, kind in vars(keras.optimizers).items()
    if isinstance(kind, type)
    and issubclass(kind, keras.optimizers.Optimizer)
    and name not in WRAPPERS
]
SETTINGS = [
    *[(name, {}) for name in NAMES],
    *[(name, {"weight_decay": 0.1}) for name in NAMES],
    ("SGD", {"momentum": 0.9}),
    ("SGD", {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    ("RMSprop", {"momentum": 0.9, "centered": True}),
    ("Adam", {"amsgrad": True}),
    (
        "Muon",
        {"weight_decay": 0.1, "adam_weight_decay": 0.2, "exclude_layers": ["b.*1"]},
    ),
    ("Adafactor", {"relative_step": False}),
    ("ScheduleFreeAdamW", {"warmup_steps": 4}),
    ("Ftrl", {"l1_regularization_strength": 0.01, "beta": 0.1}),
]
each_optimizer = pytest.mark.parametrize(
    ("name", "settings"),
    [
        pytest.param(*each, marks=pytest.mark.slow) if each[1] else each
        for each in SETTINGS
    ],
    ids=lambda x: x if isinstance(x, str) else "-".join(x),
)
RATE = 0.01
RATES = {"block1": 0.25, "block2/bias": 3.0, "head": 1.0}
STEPS = 6


def make(name, settings, rate=RATE):
    return getattr(keras.optimizers, name)(learning_rate=rate, **settings)


def run(optimizer, variables, gradients, steps=STEPS):
    for step in range(steps):
        optimizer.apply(gradients(variables, step), variables)


def test_the_list_holds_what_keras_has():
    assert {"SGD", "Adam", "AdamW", "Nadam", "Adafactor", "Muon", "Lamb"} <= set(NAMES)
    assert len(NAMES) >= 14


@each_optimizer
def test_multipliers_of_one_are_the_bare_optimizer(
    name, settings, build, gradients, equal_weights
):
    bare, ours = build(), build()
    run(make(name, settings), bare.trainable_variables, gradients)
    optimizer = LayerwiseRates(make(name, settings))
    run(optimizer, ours.trainable_variables, gradients)
    equal_weights(bare, ours, rtol=1e-7)
    assert not np.array_equal(bare.weights[0], build().weights[0])


@each_optimizer
def test_a_multiplier_is_the_bare_optimizer_at_another_rate(
    name, settings, build, gradients
):
    ours = build()
    optimizer = LayerwiseRates(make(name, settings), RATES)
    multipliers = optimizer.match(ours)
    run(optimizer, ours.trainable_variables, gradients)
    for multiplier in set(multipliers.values()):
        bare = build()
        at_rate = make(name, settings, multiplier * RATE)
        run(at_rate, bare.trainable_variables, gradients)
        for a, b in zip(bare.weights, ours.weights, strict=True):
            if multipliers[a.path] == multiplier:
                np.testing.assert_allclose(b, a, rtol=2e-5, atol=2e-7, err_msg=a.path)
    assert set(multipliers.values()) == {0.25, 1.0, 3.0}


@each_optimizer
def test_what_is_opened_late_moves_as_with_an_optimizer_of_its_own(
    name, settings, build, gradients
):
    ours, bare = build(), build()
    optimizer = LayerwiseRates(make(name, settings))
    head = [ours.get_layer("logits").kernel, ours.get_layer("logits").bias]
    run(optimizer, head, gradients)
    optimizer.build(ours.trainable_variables)
    run(optimizer, ours.trainable_variables, gradients)
    below = bare.trainable_variables[:4]
    run(make(name, settings), below, lambda x, step: gradients([*x, *head], step)[:4])
    for a, b in zip(ours.trainable_variables[:4], below, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7, err_msg=a.path)
