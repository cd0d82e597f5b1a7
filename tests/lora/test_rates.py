import keras
import numpy as np
import pytest
from keras import layers

from tftransfer.lora.adapters import add_lora
from tftransfer.lora.rates import lora_rates
from tftransfer.rates.layerwise_rates import LayerwiseRates
from tftransfer.training.describing import describe_strategy
from tftransfer.training.fine_tune import fine_tune
from tftransfer.training.stages import Stage
from tftransfer.training.strategy import Strategy


def build():
    keras.utils.set_random_seed(4)
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(12, 3, name="block1_conv")(inputs)
    x = layers.DepthwiseConv2D(3, name="block2_depthwise")(x)
    x = layers.Conv2D(16, 1, name="block2_conv")(x)
    x = layers.GlobalAveragePooling2D(name="features")(x)
    model = keras.Model(inputs, layers.Dense(3, name="logits")(x))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.5), loss)
    return add_lora(model, 1)


@pytest.fixture
def rows(rng):
    return rng.normal(size=(32, 8, 8, 3)).astype("float32"), np.arange(32) % 3


def test_what_learns_whole_is_told_and_nothing_else():
    slower = lora_rates(build())
    names = ["block2_depthwise/kernel", "block2_depthwise/bias"]
    assert slower == dict.fromkeys(names, 0.1)
    with pytest.raises(ValueError, match="must have adapters"):
        lora_rates(keras.Sequential([keras.Input((2,)), layers.Dense(1)]))


def test_adapters_learn_at_the_whole_rate_and_kernels_at_a_tenth(rows):
    """One step of SGD moves each weight by its rate times its gradient."""
    model = build()
    before = {x.path: x.numpy() for x in model.trainable_weights}
    by_hand = build()
    by_hand.compile(keras.optimizers.SGD(0.5), by_hand.loss)
    by_hand.fit(*rows, batch_size=32, verbose=0, shuffle=False)
    steps = {x.path: x.numpy() - before[x.path] for x in by_hand.trainable_weights}

    import tensorflow as tf

    data = tf.data.Dataset.from_tensor_slices(rows).batch(32)
    stages = [Stage(1, trainable_depth="all", schedule="constant")]
    fine_tune(model, data, stages=stages, verbose=0)
    assert len(steps) == 2 + 2 * 2 + 2  # depthwise, factors of two, head
    for weight in model.trainable_weights:
        share = 0.1 if "depthwise" in weight.path else 1
        np.testing.assert_allclose(
            weight.numpy() - before[weight.path],
            share * steps[weight.path],
            rtol=1e-3,
            atol=1e-6,
        )
    assert isinstance(model.optimizer, keras.optimizers.SGD)
    assert float(model.optimizer.learning_rate) == 0.5


def test_an_optimizer_with_a_step_of_its_own_stays(rows):
    class Centered(keras.optimizers.SGD):
        def apply(self, gradients, variables=None):
            return super().apply([x - 0 for x in gradients], variables)

    model = build()
    model.compile(Centered(0.1), model.loss)
    assert "lora_rates" not in describe_strategy("full", model)
    assert len(fine_tune(model, rows, strategy="full", epochs=1, verbose=0).epoch) == 1


def test_a_head_on_drawn_features_needs_no_rates(rows):
    strategy = Strategy("joint", source=rows, virtual_rows=4)
    history = fine_tune(build(), rows, strategy=strategy, epochs=2, verbose=0)
    assert np.isfinite(history.history["loss"]).all()


def test_rates_that_are_given_are_kept(rows):
    model = build()
    seen = []
    watcher = keras.callbacks.LambdaCallback(
        on_train_begin=lambda logs: seen.append(model.optimizer)
    )
    fine_tune(
        *(model, rows), epochs=1, learning_rate=0.1, callbacks=[watcher], verbose=0
    )
    assert not any(isinstance(x, LayerwiseRates) for x in seen)
    assert "LayerwiseRates(new, tft.lora_rates(model))" in describe_strategy(
        "full", model
    )
    own = LayerwiseRates("sgd", {"head": 0.5})
    model.compile(own, model.loss)
    assert "lora_rates" not in describe_strategy("full", model)
