import keras
import numpy as np
import pytest
import tensorflow as tf

import tftransfer as tft


def test_every_number_is_its_start_or_rescaled(rng):
    now, start = rng.normal(size=(2, 300, 40))
    variable = keras.Variable(now, dtype="float64")
    ((_, mixed),) = tft.Mixout(0.3, seed=1).replace([(variable, start)])
    mixed, kept = np.asarray(mixed), (now - 0.3 * start) / 0.7
    is_start = np.isclose(mixed, start, atol=1e-9)
    is_kept = np.isclose(mixed, kept, atol=1e-9)
    assert (is_start ^ is_kept).all()
    assert abs(is_start.mean() - 0.3) < 0.02  # five standard deviations


@pytest.mark.slow
def test_the_mean_over_many_draws_is_the_weight():
    variable = keras.Variable(np.full((1, 2), [[3.0, -1.0]]))
    layer = tft.Mixout(0.5, seed=1)
    draws = [layer.replace([(variable, np.ones((1, 2)))])[0][1] for _ in range(2000)]
    mean = np.mean([np.asarray(x) for x in draws], axis=0)
    np.testing.assert_allclose(mean, [[3.0, -1.0]], atol=0.2)  # sd 2 / sqrt(2000)


def test_the_gradient_goes_to_what_was_kept(rng):
    variable, start = keras.Variable(rng.normal(size=(4, 5))), np.zeros((4, 5))
    with tf.GradientTape() as tape:
        ((_, mixed),) = tft.Mixout(0.5, seed=1).replace([(variable, start)])
        total = tf.reduce_sum(mixed)
    expected = np.where(np.asarray(mixed) == 0.0, 0.0, 2.0)
    np.testing.assert_allclose(tape.gradient(total, variable.value), expected)


def one_weight(probability, seed):
    """logits = 3 * x, where the 3 was a 1 before."""
    inputs = keras.Input((1,))
    x = keras.layers.Dense(1, use_bias=False, name="block1")(inputs)
    x = keras.layers.Activation("linear", name="features")(x)
    plain = keras.Model(inputs, keras.layers.Dense(1, use_bias=False, name="top")(x))
    plain.set_weights([np.ones((1, 1)), np.ones((1, 1))])
    model = tft.AlignedModel(plain, regularization=tft.Mixout(probability, seed=seed))
    plain.set_weights([np.full((1, 1), 3.0), np.ones((1, 1))])
    plain.get_layer("top").trainable = False
    model.compile(keras.optimizers.SGD(0.1), loss=lambda y, logits: logits)
    return model


def test_a_step_runs_on_the_mixed_weight_and_trains_the_weight():
    seen = set()
    for seed in range(8):
        model = one_weight(0.5, seed)
        loss = model.fit(np.ones((1, 1)), np.ones(1), verbose=0).history["loss"][0]
        weight = float(model.model.get_weights()[0][0, 0])
        seen.add((round(loss, 4), round(weight, 4)))
    # Its start 1, and nothing to learn; or (3 - 0.5) / 0.5 with a gradient of 1 / 0.5.
    assert seen == {(1.0, 3.0), (5.0, 2.8)}


def test_prediction_does_not_mix():
    model = one_weight(0.5, 0)
    for x in (model, model.model):
        np.testing.assert_allclose(x.predict(np.ones((4, 1)), verbose=0), 3.0)


def test_probability_zero_is_plain_training(build, arrays):
    weights = []
    for regularization in (None, tft.Mixout(0.0)):
        model = build(regularization, dropout=0.5)
        model.fit(*arrays, epochs=2, shuffle=False, verbose=0)
        weights.append(getattr(model, "model", model).get_weights())
    for one, other in zip(*weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_statistics_and_draws_of_the_network_go_on():
    inputs = keras.Input((3,))
    x = keras.layers.Dense(4, name="block1")(inputs)
    norm = keras.layers.BatchNormalization(name="block1_bn")
    dropout = keras.layers.Dropout(0.5)
    x = keras.layers.Activation("linear", name="features")(dropout(norm(x)))
    plain = keras.Model(inputs, keras.layers.Dense(2)(x))
    model = tft.AlignedModel(plain, regularization=tft.Mixout(0.5, seed=0))
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(True))
    seed = np.array(dropout.seed_generator.state)
    model.fit(np.ones((8, 3)) * 5, np.zeros(8), verbose=0)
    assert np.abs(np.asarray(norm.moving_mean)).max() > 0
    assert not np.array_equal(seed, np.array(dropout.seed_generator.state))


def test_frozen_weights_and_biases_are_not_mixed(build):
    model = build(tft.Mixout(0.5, seed=0))
    tft.set_trainable_depth(model, 1)
    replaced = [variable.path for variable, _ in _replacements(model)]
    assert replaced == ["block2/kernel"]


def _replacements(model):
    pairs = [(v, s) for v, s in model._pairs() if v.trainable]
    return model.regularization[0].replace(pairs)


def test_it_is_saved_with_the_model(build, arrays, tmp_path):
    model = build([tft.Mixout(0.4, seed=3), tft.L2SP(0.1)])
    model.fit(*arrays, verbose=0)
    model.save(tmp_path / "model.keras")
    again = tft.load_model(tmp_path / "model.keras")
    mixout = again.regularization[0]
    assert (mixout.probability, mixout.seed) == (0.4, 3)
    for one, other in zip(
        model.start.get_weights(), again.start.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_a_module_that_reads_its_own_weights_is_refused(build):
    model = build()
    model.get_layer("block1").variable_blocks = ()
    with pytest.raises(
        ValueError, match="Received: Mixout for a model with the module"
    ):
        tft.AlignedModel(model, regularization=tft.Mixout())
    assert tft.AlignedModel(model, regularization=tft.L2SP()).regularization


@pytest.mark.parametrize("probability", [1.0, -0.1])
def test_bad_probabilities_are_refused(probability):
    with pytest.raises(ValueError, match=f"Received: probability={probability}"):
        tft.Mixout(probability)
