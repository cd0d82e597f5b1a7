import math

import keras
import numpy as np
import pytest

from tftransfer.freezing.depth import set_trainable_depth
from tftransfer.rates.layerwise_rates import LayerwiseRates
from tftransfer.training.stages import (
    CosinePerEpoch,
    Stage,
    check_own_rate,
    check_stages,
    plan_stages,
    stage_rate,
)


def plan(model, **changes):
    settings = {"trainable_depth": None, "learning_rate": "auto", **changes}
    stages = plan_stages(model, **{"epochs": 5, "frozen_epochs": 2, **settings})
    return [(stage.epochs, stage.trainable_depth) for stage in stages]


def test_the_head_comes_first_then_what_shall_learn(build):
    assert plan(build(), trainable_depth=1) == [(2, 0), (5, 1)]
    assert plan(build(), trainable_depth="all") == [(2, 0), (5, "all")]


def test_without_frozen_epochs_there_is_one_stage(build):
    assert plan(build(), trainable_depth=1, frozen_epochs=0) == [(5, 1)]


def test_without_depth_an_open_model_goes_back_to_what_it_was(build):
    assert plan(build()) == [(2, 0), (5, None)]


def test_a_backbone_that_stays_frozen_gives_one_stage_of_all_epochs(build):
    model = build()
    assert plan(model, trainable_depth=0) == [(7, 0)]
    set_trainable_depth(model, 0)
    assert plan(model) == [(7, None)]


def test_auto_is_the_own_rate_for_a_head_and_a_tenth_for_a_backbone(build):
    model = build()
    stage = Stage(1, schedule="constant")
    assert stage_rate(stage, model, 0.5, 10) == 0.05
    set_trainable_depth(model, 0)
    assert stage_rate(stage, model, 0.5, 10) == 0.5


def test_auto_is_the_whole_own_rate_where_multipliers_say_what_is_slower(build):
    model = build(optimizer=LayerwiseRates("sgd", layer_decay=0.5))
    stage = Stage(1, schedule="constant")
    assert stage_rate(stage, model, 0.5, 10) == 0.5
    model.compile(keras.optimizers.LossScaleOptimizer(model.optimizer), "mse")
    assert stage_rate(stage, model, 0.5, 10) == 0.5


def test_a_number_is_the_rate_at_every_depth(build):
    stage = Stage(1, learning_rate=0.3, schedule="constant")
    assert stage_rate(stage, build(), 0.5, 10) == 0.3


def test_cosine_falls_from_the_rate_to_zero_over_the_stage(build):
    stage = Stage(3, learning_rate=0.8)
    schedule = stage_rate(stage, build(), 0.5, steps_per_epoch=4)
    rates = [float(schedule(step)) for step in range(13)]
    # Half of 0.8 (1 + cos(pi step / 12)): 0.8 first, 0.4 in the middle, 0 at last.
    expected = [0.4 * (1 + math.cos(math.pi * step / 12)) for step in range(13)]
    np.testing.assert_allclose(rates, expected, atol=1e-7)
    np.testing.assert_allclose(
        [rates[0], rates[6], rates[12]], [0.8, 0.4, 0], atol=1e-7
    )


def test_without_a_known_length_the_rate_falls_between_epochs(build):
    model = build()
    assert stage_rate(Stage(4, learning_rate=0.8), model, 0.5, None) == 0.8
    callback = CosinePerEpoch(0.8, first_epoch=2, epochs=4)
    callback.set_model(model)
    rates = []
    for epoch in range(2, 6):
        callback.on_epoch_begin(epoch)
        rates.append(float(model.optimizer.learning_rate))
    half = math.sqrt(0.5)  # cos(pi / 4)
    np.testing.assert_allclose(rates, [0.8, 0.4 * (1 + half), 0.4, 0.4 * (1 - half)])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"epochs": 0}, ValueError, "Received: epochs=0"),
        ({"epochs": 1.5}, TypeError, "Received: epochs=1.5"),
        ({"learning_rate": 0}, ValueError, "Received: learning_rate=0. Nothing would"),
        ({"learning_rate": -1.0}, ValueError, "Received: learning_rate=-1.0"),
        ({"learning_rate": "fast"}, ValueError, "Received: learning_rate='fast'"),
        ({"learning_rate": None}, TypeError, "Received: learning_rate=None"),
        ({"batch_norm": "off"}, ValueError, "Received: batch_norm='off'"),
        ({"schedule": "step"}, ValueError, "Received: schedule='step'"),
        ({"patience": 0}, ValueError, "Received: patience=0"),
    ],
)
def test_a_stage_refuses_what_it_cannot_do(arguments, error, message):
    with pytest.raises(error, match=message):
        Stage(**{"epochs": 1, **arguments})


@pytest.mark.parametrize("stages", [Stage(1), [Stage(1), 3], "stages"])
def test_stages_must_be_a_list_of_stages(stages):
    with pytest.raises(TypeError, match="`stages` must be a list of Stage. Received"):
        check_stages(stages)


def test_an_empty_list_of_stages_is_refused():
    with pytest.raises(ValueError, match=r"Received: stages=\[\]"):
        check_stages([])


@pytest.mark.parametrize("depth", [True, 3, "blok2", 0.0])
def test_a_wrong_depth_is_refused_when_planning(build, depth):
    with pytest.raises((ValueError, TypeError), match="`trainable_depth`"):
        plan(build(), trainable_depth=depth)


def test_frozen_epochs_must_be_a_whole_number(build):
    with pytest.raises(ValueError, match="Received: frozen_epochs=-1"):
        plan(build(), frozen_epochs=-1)


def test_frozen_epochs_need_a_graph():
    class Subclassed(keras.Model):
        pass

    message = "Received: frozen_epochs=2, model=Subclassed"
    with pytest.raises(ValueError, match=message):
        plan(Subclassed())
    assert plan(Subclassed(), frozen_epochs=0) == [(5, None)]
    rate = stage_rate(Stage(1, schedule="constant"), Subclassed(), 0.5, 10)
    assert rate == 0.05


def test_the_own_rate_must_be_a_number_where_it_is_needed():
    schedule = keras.optimizers.schedules.CosineDecay(0.1, 10)
    message = "Received: learning_rate='auto' and CosineDecay"
    with pytest.raises(ValueError, match=message):
        check_own_rate(schedule, [Stage(1, 0.1), Stage(1)])
    check_own_rate(schedule, [Stage(1, 0.1)])
