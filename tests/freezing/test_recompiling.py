import keras
import numpy as np
import pytest
from keras import layers

from tftransfer.freezing.depth import set_trainable_depth
from tftransfer.freezing.recompiling import own_rate, recompile, renew_optimizer
from tftransfer.rates.layerwise_rates import LayerwiseRates


class Halving(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule Keras could not find again by its name."""

    def __call__(self, step):
        return 0.5 ** keras.ops.cast(step, "float32")

    def get_config(self):
        return {}


class OwnSGD(keras.optimizers.SGD):
    """An optimizer Keras could not find again by its name."""


class OwnLoss(keras.losses.Loss):
    def call(self, y_true, y_pred):
        return keras.ops.mean(keras.ops.square(y_true - y_pred), axis=-1)


class OwnMetric(keras.metrics.Mean):
    def update_state(self, y_true, y_pred, sample_weight=None):
        return super().update_state(y_pred)


def test_all_that_was_given_to_compile_is_kept():
    inputs = keras.Input((4,))
    x = layers.Dense(4, name="below")(inputs)
    outputs = {"a": layers.Dense(2, name="a")(x), "b": layers.Dense(2, name="b")(x)}
    model = keras.Model(inputs, outputs)
    loss, metric = OwnLoss(), OwnMetric(name="own")
    model.compile(
        OwnSGD(0.1, momentum=0.5, clipnorm=1.0),
        {"a": loss, "b": "mae"},
        loss_weights={"a": 1.0, "b": 3.0},
        metrics={"a": metric},
        weighted_metrics={"b": ["mse"]},
        steps_per_execution=2,
        run_eagerly=False,
        jit_compile=True,
    )
    x, y = np.ones((8, 4)), {"a": np.zeros((8, 2)), "b": np.ones((8, 2))}
    expected = model.evaluate(x, y, verbose=0, return_dict=True)
    before = model.optimizer
    set_trainable_depth(model, 0)
    assert model.optimizer is not before
    assert type(model.optimizer) is OwnSGD
    assert model.optimizer.get_config() == before.get_config()
    assert model.loss["a"] is loss
    assert model.steps_per_execution == 2
    assert model.jit_compile is True
    assert model.evaluate(x, y, verbose=0, return_dict=True) == expected


@pytest.mark.slow
def test_training_after_recompiling_equals_training_after_compile(tiny, batch):
    tiny.get_layer("head_dropout").rate = 0.0
    weights = tiny.get_weights()

    def train():
        tiny.fit(*batch, batch_size=8, epochs=2, shuffle=False, verbose=0)
        return tiny.get_weights()

    def compile_():
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        tiny.compile(keras.optimizers.Adam(0.01), loss, metrics=["accuracy"])

    compile_()
    expected = train()
    tiny.set_weights(weights)
    recompile(tiny)
    for got, want in zip(train(), expected, strict=True):
        np.testing.assert_array_equal(got, want)


def test_a_model_that_was_not_compiled_stays_so(tiny):
    set_trainable_depth(tiny, 0)
    assert not tiny.compiled


def test_compiled_models_inside_are_compiled_again_too(nested, compile_model):
    inner = compile_model(nested.get_layer("tiny"))
    before = inner.optimizer
    set_trainable_depth(compile_model(nested), 0)
    assert inner.optimizer is not before


def test_an_overridden_compile_keeps_what_it_took_besides(tiny, batch):
    class Tempered(keras.Model):
        def compile(self, *args, temperature, **kwargs):
            self.temperature = temperature
            super().compile(*args, **kwargs)

    model = Tempered(tiny.inputs, tiny.outputs)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss, temperature=3.0)
    before = model.optimizer
    set_trainable_depth(model, 0)
    assert model.optimizer is not before
    assert model.temperature == 3.0


def test_the_optimizer_is_built_on_what_learns_now(tiny, compile_model):
    set_trainable_depth(compile_model(tiny), 0)
    assert tiny.optimizer.built
    # Adam: iteration, rate, and two moments for kernel and bias of the head.
    assert len(tiny.optimizer.variables) == 2 + 2 * 2


def test_a_compiled_model_saves_and_loads_without_a_warning(
    tiny, compile_model, tmp_path
):
    set_trainable_depth(compile_model(tiny), 0)
    tiny.save(tmp_path / "tiny.keras")
    assert keras.models.load_model(tmp_path / "tiny.keras").optimizer.built


def test_a_model_without_an_optimizer_stays_without(tiny):
    tiny.compile(optimizer=None, loss="mse")
    recompile(tiny)
    assert tiny.optimizer is None


def test_nothing_to_learn_leaves_the_optimizer_unbuilt():
    model = keras.applications.MobileNetV2(
        weights=None, alpha=0.35, include_top=False, pooling="avg"
    )
    model.compile("adam", "mse")
    set_trainable_depth(model, 0)
    assert not model.trainable_weights
    assert not model.optimizer.built


def test_a_rate_set_by_hand_is_kept(tiny, compile_model):
    compile_model(tiny).optimizer.learning_rate = 0.25
    set_trainable_depth(tiny, 0)
    assert float(tiny.optimizer.learning_rate) == 0.25


def test_schedules_are_kept_as_they_are():
    schedule = Halving()
    renewed = renew_optimizer(keras.optimizers.SGD(schedule))
    assert own_rate(renewed) is schedule


def test_excluded_variables_stay_excluded_from_weight_decay(tiny, compile_model):
    optimizer = keras.optimizers.AdamW(1e-3, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    set_trainable_depth(compile_model(tiny, optimizer), 0)
    logits = tiny.get_layer("logits")
    assert tiny.optimizer is not optimizer
    assert tiny.optimizer._use_weight_decay(logits.kernel)
    assert not tiny.optimizer._use_weight_decay(logits.bias)


def test_loss_scaling_stays_as_it_was_asked_for():
    scaled = keras.optimizers.LossScaleOptimizer(OwnSGD(0.5), initial_scale=8.0)
    renewed = renew_optimizer(scaled, 0.25)
    assert type(renewed.inner_optimizer) is OwnSGD
    assert renewed.initial_scale == 8.0
    assert own_rate(renewed) == 0.25


@pytest.mark.parametrize("scale", [True, False])
def test_automatic_loss_scaling_under_float16(scale):
    inputs = keras.Input((4,))
    x = layers.Dense(4, dtype="mixed_float16")(inputs)
    model = keras.Model(inputs, layers.Dense(2, dtype="float32")(x))
    model.dtype_policy = keras.DTypePolicy("mixed_float16")
    model.compile("sgd", "mse", auto_scale_loss=scale)
    recompile(model)
    loss_scale = keras.optimizers.LossScaleOptimizer
    assert isinstance(model.optimizer, loss_scale) == scale


@pytest.mark.parametrize("scaled", [False, True])
def test_an_optimizer_that_carries_on_stays_the_same(scaled, tiny, compile_model):
    def inside():
        return tiny.optimizer.inner_optimizer if scaled else tiny.optimizer

    ours = LayerwiseRates(keras.optimizers.SGD(0.5))
    scale = keras.optimizers.LossScaleOptimizer
    compile_model(tiny, scale(ours, initial_scale=8.0) if scaled else ours)
    recompile(tiny, learning_rate=0.25)
    assert inside() is ours
    assert own_rate(tiny.optimizer) == 0.25
    assert not scaled or tiny.optimizer.initial_scale == 8.0
    schedule = Halving()
    recompile(tiny, learning_rate=schedule)
    assert own_rate(tiny.optimizer) is schedule
    recompile(tiny, learning_rate=0.125)
    recompile(tiny)
    assert own_rate(tiny.optimizer) == 0.125
    assert inside() is ours
    assert ours._trainable_variables == tiny.trainable_variables


def test_an_optimizer_without_a_rate_of_its_own_is_refused():
    optimizers = keras.optimizers.OptimizerMap(keras.optimizers.SGD(0.1))
    multi = keras.optimizers.MultiOptimizer(optimizers)
    assert type(renew_optimizer(multi)) is type(multi)
    with pytest.raises(ValueError, match="Received: MultiOptimizer"):
        renew_optimizer(multi, 0.5)
