import keras
import numpy as np
import pytest
import tensorflow as tf

from tftransfer.alignment.coral import CORAL, coral_loss


def numpy_coral(source, target):
    difference = np.cov(source, rowvar=False) - np.cov(target, rowvar=False)
    return (np.atleast_2d(difference) ** 2).sum() / (4 * source.shape[1] ** 2)


@pytest.mark.parametrize(
    ("rows", "width"), [((8, 8), 3), ((5, 11), 3), ((6, 9), 40), ((2, 3), 64)]
)
def test_coral_equals_numpy_covariance_in_both_branches(rng, rows, width):
    source = rng.normal(size=(rows[0], width))
    target = 2 * rng.normal(size=(rows[1], width)) + 1
    value = float(coral_loss(source, target))
    np.testing.assert_allclose(value, numpy_coral(source, target), rtol=1e-10)


def test_coral_in_float32_stays_near_float64(rng):
    source, target = rng.normal(size=(2, 32, 512)) * [[[1.0]], [[3.0]]] + 5
    exact = numpy_coral(source, target)
    value = float(coral_loss(source.astype("float32"), target.astype("float32")))
    np.testing.assert_allclose(value, exact, rtol=1e-5)


@pytest.mark.parametrize("width", [6, 40])
def test_coral_with_unknown_batch_size_equals_numpy(rng, width):
    source, target = rng.normal(size=(4, width)), rng.normal(size=(7, width))
    signature = [tf.TensorSpec((None, width), tf.float64)] * 2
    value = tf.function(coral_loss, input_signature=signature)(source, target)
    np.testing.assert_allclose(float(value), numpy_coral(source, target), rtol=1e-10)


def test_wide_features_of_unknown_batch_size_make_no_matrix_of_their_width():
    width = 200_000  # squared, in float32: 160 gigabytes

    @tf.function(input_signature=[tf.TensorSpec((None, width), tf.float32)])
    def gradient(source):
        with tf.GradientTape() as tape:
            tape.watch(source)
            loss = coral_loss(source, 2.0 * source)
        return tape.gradient(loss, source)

    found = gradient(np.eye(3, width, dtype="float32"))
    assert np.isfinite(found).all() and np.any(found)


def test_coral_is_zero_for_equal_batches_and_symmetric(rng):
    source, target = rng.normal(size=(4, 10)), rng.normal(size=(5, 10))
    assert float(coral_loss(source, source)) < 1e-20
    forth, back = coral_loss(source, target), coral_loss(target, source)
    np.testing.assert_allclose(float(forth), float(back), rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_coral_and_its_gradient_are_finite_for_collapsed_features(dtype):
    source = tf.Variable(tf.cast(tf.fill((4, 8), 300.0), dtype))
    with tf.GradientTape() as tape:
        loss = coral_loss(source, tf.cast(tf.zeros((3, 8)), dtype))
    assert float(loss) == 0.0
    assert np.isfinite(
        np.asarray(tf.cast(tape.gradient(loss, source), "float32"))
    ).all()
    assert loss.dtype == tf.float32


def test_coral_of_a_single_row_counts_as_no_covariance():
    # Target [[0], [2]] has variance 2: (0 - 2)^2 / (4 * 1) = 1.
    assert float(coral_loss(np.ones((1, 1)), np.array([[0.0], [2.0]]))) == 1.0


def test_both_branches_have_the_same_gradient(rng):
    source = tf.constant(rng.normal(size=(4, 12)))
    target = tf.constant(rng.normal(size=(3, 12)))

    def gradient(features):
        with tf.GradientTape() as tape:
            tape.watch(features)
            loss = coral_loss(features, target)
        return tape.gradient(loss, features)

    known, unknown = (
        tf.function(gradient, input_signature=[tf.TensorSpec(shape, tf.float64)])
        for shape in ((4, 12), (None, 12))
    )
    np.testing.assert_allclose(known(source), unknown(source), rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize(
    ("source", "target"), [((4, 3), (4, 5)), ((4, 2, 2), (4, 4)), ((4,), (4,))]
)
def test_other_shapes_are_refused(source, target):
    with pytest.raises(ValueError, match=r"Received: source.shape="):
        coral_loss(np.zeros(source), np.zeros(target))


def test_layer_weighs_tracks_and_keeps_its_configuration(rng):
    layer = CORAL(weight=0.25, on="features")
    source, target = rng.normal(size=(4, 3)), rng.normal(size=(4, 3))
    loss = layer({"features": source}, {"features": target})
    # The layer computes in float32.
    np.testing.assert_allclose(
        float(loss), 0.25 * numpy_coral(source, target), rtol=1e-5
    )
    tracked = float(layer.tracker.result())
    np.testing.assert_allclose(tracked, numpy_coral(source, target), rtol=1e-5)
    config = keras.saving.serialize_keras_object(layer)
    again = keras.saving.deserialize_keras_object(config)
    assert (again.weight, again.on) == (0.25, "features")
