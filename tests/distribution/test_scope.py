"""What is said of a model and the strategy it is trained under."""

import types

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import tftransfer as tft
from tftransfer.distribution.copies import Copies
from tftransfer.distribution.predicting import predict_batch
from tftransfer.distribution.scope import check_divides, check_last, count_replicas


def build():
    """Build a compiled model with one block below its head."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input((6,))
    x = layers.Dense(8, activation="relu", name="block1")(inputs)
    x = layers.Activation("linear", name="features")(x)
    model = keras.Model(inputs, layers.Dense(3, name="logits")(x))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    return model


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    return rng.normal(size=(32, 6)).astype("float32"), np.arange(32) % 3


@pytest.fixture(scope="module")
def strategy():
    """A strategy whose variables are such as those on several devices."""
    return tf.distribute.MirroredStrategy(["CPU:0"])


def stand_in(replicas):
    """Make what tells a number of replicas, as a model does."""
    strategy = types.SimpleNamespace(num_replicas_in_sync=replicas)
    return types.SimpleNamespace(_distribute_strategy=strategy)


def test_fine_tune_under_a_strategy_gives_equal_numbers(arrays, strategy):
    data = tf.data.Dataset.from_tensor_slices(arrays).batch(8)
    given = {"epochs": 2, "trainable_depth": 1, "seed": 3, "verbose": 0}
    plain = tft.fine_tune(build(), data, **given)
    with strategy.scope():
        model = build()
    history = tft.fine_tune(model, data, **given)
    for name, values in plain.history.items():
        np.testing.assert_allclose(history.history[name], values, rtol=1e-5)


def test_many_steps_under_a_strategy(strategy):
    rows = np.random.default_rng(0).normal(size=(4000, 6)).astype("float32")
    data = rows, (rows[:, 0] > 0).astype(int)
    with strategy.scope():
        model = build()
    stages = [tft.Stage(6, 0.01, trainable_depth=0)]
    history = tft.fine_tune(model, data, stages=stages, seed=0, verbose=0)
    assert history.history["accuracy"][-1] > 0.8


def test_a_model_made_outside_from_layers_inside_is_refused(arrays, strategy):
    with strategy.scope():
        inside = build()
    outside = keras.Model(inside.input, inside.output)
    outside.compile("sgd", inside.loss)
    with pytest.raises(ValueError, match="made in the scope of the strategy of its w"):
        tft.fine_tune(outside, arrays, epochs=1, verbose=0)


def test_rewired_and_shrunk_models_stay_in_the_scope(strategy):
    with strategy.scope():
        model = build()
    side = tft.add_residual_adapters(model, width=2)
    small = tft.shrink_model(model, {"block1": range(4)})
    for made in (side, small):
        assert made.distribute_strategy is strategy
        assert made.optimizer.built


def test_resumed_under_a_strategy(arrays, strategy, tmp_path):
    def run(folder, epochs):
        with strategy.scope():
            model = build()
        resume = tft.Resume(folder, verbose=False)
        given = {"epochs": epochs, "batch_size": 8, "verbose": 0}
        history = model.fit(*arrays, callbacks=[resume], **given)
        return history.history, [np.array(x) for x in model.weights]

    whole, weights = run(tmp_path / "whole", 3)
    run(tmp_path / "parts", 2)
    history, found = run(tmp_path / "parts", 3)
    assert history == whole
    for one, other in zip(weights, found, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_model_of_another_scope_is_refused(arrays, strategy):
    model = build()
    with strategy.scope():
        with pytest.raises(ValueError, match="built without one, under MirroredStr"):
            tft.fine_tune(model, arrays, epochs=1, verbose=0)


def test_batches_that_replicas_cannot_share_are_refused():
    model = stand_in(4)
    assert count_replicas(model) == 4
    check_divides(model, "train", 32)
    with pytest.raises(ValueError, match="batches of 30 for 4 replicas.*such as 28"):
        check_divides(model, "train", 30)
    with pytest.raises(ValueError, match="such as 4"):
        check_divides(model, "train", 3)


def test_hybrid_sharing_is_refused(monkeypatch):
    model = build()
    several = types.SimpleNamespace(num_replicas_in_sync=2)
    monkeypatch.setattr(model, "_distribute_strategy", several)
    with pytest.raises(ValueError, match="one device.*Received: a model with 2 replic"):
        tft.HybridSharing(model, 0)


def test_labels_of_both_domains_are_refused(monkeypatch):
    model = tft.AlignedModel(build(), tft.CORAL())
    replicas = types.SimpleNamespace(num_replicas_in_sync=2)
    monkeypatch.setattr(model, "_distribute_strategy", replicas)
    with pytest.raises(ValueError, match="`labels_both` must be trained on one.*2 rep"):
        model.labels_both = True
    assert model.labels_both is False


def test_a_last_batch_without_a_row_for_each_is_refused():
    model = stand_in(4)
    for rows in (0, 4, 5):
        check_last(model, "train", rows)
    with pytest.raises(ValueError, match="last batch of 3 for 4.*Leave 3 out, or add"):
        check_last(model, "train", 3)


def test_fine_tune_looks_at_the_first_batch(arrays, monkeypatch):
    model = build()
    several = types.SimpleNamespace(num_replicas_in_sync=3)
    monkeypatch.setattr(model, "_distribute_strategy", several)
    with pytest.raises(ValueError, match="`train` must have batches that all replicas"):
        tft.fine_tune(model, arrays, epochs=1, verbose=0)


def test_a_batch_is_predicted_with_each_row_once(arrays):
    model = build()
    wanted = model.predict(arrays[0], verbose=0)
    np.testing.assert_allclose(predict_batch(model, arrays[0]), wanted, rtol=1e-6)


def test_copies_of_one_device_are_the_variables(arrays):
    model = build()
    copies = Copies(model)
    assert (copies.number, copies.of_workers, copies.is_chief) == (1, False, True)
    values = copies.read(model.weights)
    changed = [value + 1 for value in values]
    copies.write(list(zip(model.weights, changed, strict=True)))
    for weight, value in zip(model.weights, changed, strict=True):
        np.testing.assert_array_equal(weight, value)
    assert copies.shape_of(model.weights[0]) == (6, 8)
    assert copies.ask_all(7) == [7]
