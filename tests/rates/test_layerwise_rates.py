import keras
import numpy as np
import pytest

import tftransfer as tft
from tftransfer.freezing.depth import set_trainable_depth
from tftransfer.rates.layerwise_rates import LayerwiseRates

RATES = {"head": 1.0, "block1": 0.1, "block2": 0.5}


def adamw(rate=0.01, **settings):
    return keras.optimizers.AdamW(rate, weight_decay=0.1, **settings)


def multi_optimizer(**settings):
    """The same with one optimizer of Keras for each rate."""
    return keras.optimizers.MultiOptimizer(
        keras.optimizers.OptimizerMap(
            adamw(**settings),
            {
                "block1/.*": adamw(0.1 * 0.01, **settings),
                "block2/.*": adamw(0.5 * 0.01, **settings),
            },
        )
    )


@pytest.mark.parametrize("settings", [{}, {"clipnorm": 0.01}, {"use_ema": True}])
def test_fit_is_that_of_multi_optimizer(settings, build, train, equal_weights):
    ours = train(build(), LayerwiseRates(adamw(**settings), RATES))
    theirs = train(build(), multi_optimizer(**settings))
    equal_weights(ours, theirs, rtol=1e-5, atol=1e-7)


def test_multi_optimizer_clips_each_group_by_itself_ours_all_together(build, gradients):
    # Three groups of norm 0.5 each have one of 0.87 together.
    def moved(optimizer):
        model = build()
        variables = model.trainable_variables
        optimizer.build(variables)
        before = [x.numpy() for x in variables]
        optimizer.apply(gradients(variables, 0), variables)
        return np.sqrt(
            sum(((a - b) ** 2).sum() for a, b in zip(before, variables, strict=True))
        )

    def sgd():
        return keras.optimizers.SGD(1.0, global_clipnorm=0.5)

    groups = {"block1/.*": sgd(), "block2/.*": sgd()}
    theirs = keras.optimizers.MultiOptimizer(
        keras.optimizers.OptimizerMap(sgd(), groups)
    )
    assert moved(LayerwiseRates(sgd())) == pytest.approx(0.5, rel=1e-5)
    assert moved(theirs) == pytest.approx(0.5 * np.sqrt(3), rel=1e-5)


@pytest.mark.slow
def test_compiled_by_xla_and_run_eagerly_it_is_the_same(build, train, equal_weights):
    plain = train(build(), LayerwiseRates(adamw(), RATES), epochs=1)
    settings = [
        {"jit_compile": True},
        {"run_eagerly": True},
        {"steps_per_execution": 5},
    ]
    for each in settings:
        other = train(build(), LayerwiseRates(adamw(), RATES), epochs=1, **each)
        equal_weights(plain, other, rtol=1e-5, atol=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize(
    "more", [{"gradient_accumulation_steps": 2}, {"use_ema": True}]
)
def test_xla_compiles_what_the_steps_share(more, build, train, equal_weights):
    plain = train(build(), LayerwiseRates(adamw(**more), RATES), epochs=1)
    jit = train(build(), LayerwiseRates(adamw(**more), RATES), 1, jit_compile=True)
    equal_weights(plain, jit, rtol=1e-5, atol=1e-7)


def test_the_loss_is_scaled_as_for_any_optimizer(build, train, equal_weights):
    scale = keras.optimizers.LossScaleOptimizer
    plain = train(build(), LayerwiseRates(adamw(), RATES))
    scaled = train(build(), scale(LayerwiseRates(adamw(), RATES)))
    fixed = train(build(), LayerwiseRates(adamw(loss_scale_factor=8.0), RATES))
    equal_weights(plain, scaled, rtol=1e-4, atol=1e-6)
    equal_weights(plain, fixed, rtol=1e-4, atol=1e-6)


def test_float16_is_scaled_by_compile_and_skips_steps_that_overflow(build, arrays):
    model = build()
    model.dtype_policy = keras.DTypePolicy("mixed_float16")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer = LayerwiseRates(adamw(), RATES)
    model.compile(optimizer, loss)
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    optimizer.match(model)
    model.optimizer.build(model.trainable_variables)
    weights = model.get_weights()
    bad = [x * float("inf") for x in model.trainable_variables]
    model.optimizer.apply(bad, model.trainable_variables)
    np.testing.assert_array_equal(model.get_weights()[0], weights[0])
    assert int(optimizer.iterations) == 0
    model.fit(*arrays, batch_size=8, verbose=0)
    assert int(optimizer.iterations) == 5


def test_opening_layers_keeps_the_optimizer_and_its_state(build, train):
    model = build()
    set_trainable_depth(model, 0)
    optimizer = LayerwiseRates("adam", layer_decay=0.5)
    train(model, optimizer)
    head = [x.numpy() for x in optimizer.variables[3:]]
    assert len(head) == 4
    set_trainable_depth(model, "all")
    assert model.optimizer is optimizer
    assert len(optimizer.variables) == 3 + 2 * 6
    for a, b in zip(head, optimizer.variables[-4:], strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(optimizer.variables[2], [-10] * 4 + [0] * 2)
    model.fit(np.ones((8, 6)), np.zeros(8), verbose=0)
    assert int(optimizer.iterations) == 11


def test_layers_opened_by_hand_need_the_optimizer_built_again(build, train, arrays):
    model = build()
    set_trainable_depth(model, 0)
    optimizer = LayerwiseRates("adam", {"block2": 0.5})
    train(model, optimizer)
    model.get_layer("block2").trainable = True
    model.compile(optimizer, model.loss)
    with pytest.raises(ValueError, match="Received: .*, which is new. Call"):
        model.fit(*arrays, verbose=0)
    optimizer.build(model.trainable_variables)
    model.fit(*arrays, verbose=0)


def test_a_saved_model_goes_on_as_if_it_had_not_been_saved(
    build, train, arrays, equal_weights, tmp_path
):
    def go_on(model):
        model.fit(*arrays, batch_size=8, shuffle=False, verbose=0)
        return model

    model = build()
    set_trainable_depth(model, 0)
    train(model, LayerwiseRates(adamw(use_ema=True), RATES))
    set_trainable_depth(model, "all")
    go_on(model)
    model.optimizer.learning_rate = 0.02
    model.save(tmp_path / "model.keras")
    loaded = tft.load_model(tmp_path / "model.keras")
    assert isinstance(loaded.optimizer, LayerwiseRates)
    assert float(loaded.optimizer.learning_rate) == pytest.approx(0.02)
    equal_weights(go_on(model), go_on(loaded))


def test_a_configuration_makes_the_same_optimizer():
    schedule = keras.optimizers.schedules.CosineDecay(0.1, 50)
    optimizer = LayerwiseRates(adamw(schedule, clipnorm=2.0), RATES, 0.75, name="mine")
    config = keras.saving.serialize_keras_object(optimizer)
    other = keras.saving.deserialize_keras_object(config)
    assert other.get_config() == optimizer.get_config()
    assert (other.rates, other.layer_decay, other.name) == (RATES, 0.75, "mine")
    assert other.clipnorm == 2.0
    assert other._learning_rate.get_config() == schedule.get_config()


def test_callbacks_set_the_rate(build, train, arrays):
    model = train(build(), LayerwiseRates("sgd", RATES), epochs=1)
    plateau = keras.callbacks.ReduceLROnPlateau("loss", 0.5, patience=0, min_delta=1e9)
    model.fit(*arrays, epochs=2, verbose=0, callbacks=[plateau])
    assert float(model.optimizer.learning_rate) == pytest.approx(0.01 * 0.5)


def test_names_are_looked_up_when_fit_begins(build, train):
    with pytest.raises(ValueError, match="Received: rates with 'blocks1'"):
        train(build(), LayerwiseRates("sgd", {"blocks1": 1.0}))


def test_in_a_loop_of_ones_own_the_model_must_be_told(build, gradients):
    variables = build().trainable_variables
    with pytest.raises(ValueError, match="Received: 6 variables, the first"):
        LayerwiseRates("sgd", RATES).apply(gradients(variables, 0), variables)


# Keras' backend is chosen once for a process, hence another one.
SCRIPT = """
import keras
import numpy as np

import tftransfer as tft

def train(optimizer):
    keras.utils.set_random_seed(0)
    layers = [
        keras.layers.Dense(4, name="block1"),
        keras.layers.Activation("relu", name="features"),
        keras.layers.Dense(2, name="logits"),
    ]
    model = keras.Sequential([keras.Input((3,)), *layers])
    tft.set_trainable_depth(model, 0)
    model.compile(optimizer, "mse")
    x, y = np.arange(24.0).reshape(8, 3) / 24, np.ones((8, 2))
    model.fit(x, y, batch_size=4, epochs=2, shuffle=False, verbose=0)
    if not isinstance(optimizer, tft.LayerwiseRates):
        model.layers[0].trainable = True
        model.compile(keras.optimizers.Adam(0.05), "mse")
    tft.set_trainable_depth(model, "all")
    model.fit(x, y, batch_size=8, shuffle=False, verbose=0)
    return model.get_layer("block1")

before = train(keras.optimizers.Adam(0.1))
ours = train(tft.LayerwiseRates(keras.optimizers.Adam(0.1), layer_decay=0.5))
np.testing.assert_allclose(ours.kernel, before.kernel, rtol=1e-5)
print(keras.backend.backend())
"""


@pytest.mark.slow
def test_a_block_opened_late_under_the_jax_backend(run_under_jax):
    printed = run_under_jax(SCRIPT)
    assert printed.strip() == "jax"
