import keras
import numpy as np
import pytest
import tensorflow as tf

import tftransfer as tft
from tftransfer.regularization.bss import bss_penalty


def smallest(matrix, count):
    return np.linalg.svd(matrix)[1][-count:]


@pytest.mark.parametrize("shape", [(6, 9), (9, 6), (7, 7), (1, 4)])
@pytest.mark.parametrize("count", [1, 3])
def test_the_penalty_is_that_of_the_singular_values(rng, shape, count):
    features = rng.normal(size=shape)
    expected = (smallest(features, count) ** 2).sum()
    np.testing.assert_allclose(bss_penalty(features, count), expected, rtol=1e-10)


@pytest.mark.parametrize("shape", [(6, 9), (9, 6)])
def test_the_gradient_is_that_of_the_singular_values(rng, shape):
    features = rng.normal(size=shape)
    left, values, right = np.linalg.svd(features, full_matrices=False)
    expected = 2 * sum(values[i] * np.outer(left[:, i], right[i]) for i in (-1, -2))
    variable = tf.Variable(features)
    with tf.GradientTape() as tape:
        penalty = bss_penalty(variable, 2)
    np.testing.assert_allclose(tape.gradient(penalty, variable), expected, atol=1e-10)


@pytest.mark.parametrize("features", [np.eye(4), np.ones((4, 6)), np.zeros((3, 5))])
def test_equal_singular_values_have_a_finite_gradient(features):
    variable = tf.Variable(features)
    with tf.GradientTape() as tape:
        penalty = bss_penalty(variable, 2)
    assert np.isfinite(tape.gradient(penalty, variable)).all()


def test_rows_may_be_known_at_run_time_only(rng):
    penalty = tf.function(
        bss_penalty, input_signature=[tf.TensorSpec((None, 5), tf.float64)]
    )
    for rows in (3, 8):
        features = rng.normal(size=(rows, 5))
        expected = (smallest(features, 1) ** 2).sum()
        np.testing.assert_allclose(penalty(features), expected, rtol=1e-10)


def test_half_precision_is_computed_in_float32(rng):
    features = rng.normal(size=(3, 5))
    penalty = bss_penalty(tf.cast(features, tf.bfloat16))
    assert penalty.dtype == tf.float32
    np.testing.assert_allclose(penalty, smallest(features, 1)[0] ** 2, rtol=0.05)


def test_training_adds_the_penalty_of_its_features(build, arrays, fit_without_labels):
    model = build(tft.BSS(0.5, num_values=2))
    plain = model.model
    reader = keras.Model(plain.input, plain.get_layer("features").output)
    features = reader.predict(arrays[0], verbose=0).astype("float64")
    history = fit_without_labels(model, arrays[0])
    expected = 0.5 * (smallest(features, 2) ** 2).sum()
    np.testing.assert_allclose(history["bss"][0], expected, rtol=1e-4)
    np.testing.assert_allclose(history["loss"][0], expected, rtol=1e-4)
    shrunk = reader.predict(arrays[0], verbose=0)
    assert smallest(shrunk, 1)[0] < smallest(features, 1)[0]


def test_with_two_domains_the_source_counts(build, arrays, rng):
    plain = build()
    reader = keras.Model(plain.input, plain.get_layer("features").output)
    features = reader.predict(arrays[0], verbose=0).astype("float64")
    model = build(tft.BSS(0.5), alignment=tft.CORAL(1.0))
    target = rng.normal(size=(9, 6)).astype("float32")
    pairs = tf.data.Dataset.from_tensors(((arrays[0], target), arrays[1]))
    history = model.fit(pairs, shuffle=False, verbose=0).history
    expected = 0.5 * smallest(features, 1)[0] ** 2
    np.testing.assert_allclose(history["bss"][0], expected, rtol=1e-4)
    assert history["alignment_loss"][0] > 0


def test_a_frozen_backbone_pays_nothing(build, arrays):
    model = build(tft.BSS(0.5))
    tft.set_trainable_depth(model, 0)
    assert model.fit(*arrays, verbose=0).history["bss"] == [0.0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"weight": -1.0}, "Received: weight=-1.0"),
        ({"num_values": 0}, "Received: num_values=0"),
    ],
)
def test_bad_values_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        tft.BSS(**arguments)
