import keras
import numpy as np
import pytest
import tensorflow as tf

from tftransfer.alignment.mmd import DEFAULT_FACTORS, MMD, mmd_loss


def double_loop(source, target, bandwidths, estimator):
    def kernel(a, b):
        distance = ((a - b) ** 2).sum()
        return np.mean([np.exp(-distance / (2 * s**2)) for s in bandwidths])

    def within(rows):
        values = [
            kernel(a, b)
            for i, a in enumerate(rows)
            for j, b in enumerate(rows)
            if estimator == "biased" or i != j
        ]
        return np.mean(values)

    across = np.mean([kernel(a, b) for a in source for b in target])
    return within(source) + within(target) - 2 * across


@pytest.mark.parametrize("estimator", ["biased", "unbiased"])
@pytest.mark.parametrize("bandwidths", [(1.0,), (0.5, 2.0, 8.0)])
def test_mmd_equals_a_double_loop(rng, estimator, bandwidths):
    source, target = rng.normal(size=(5, 4)), rng.normal(size=(8, 4)) + 0.5
    value = mmd_loss(source, target, bandwidths=bandwidths, estimator=estimator)
    expected = double_loop(source, target, bandwidths, estimator)
    np.testing.assert_allclose(float(value), expected, rtol=1e-9)


def test_default_bandwidths_follow_the_mean_squared_distance(rng):
    source, target = rng.normal(size=(4, 3)), rng.normal(size=(6, 3)) + 1
    rows = np.concatenate([source, target])
    distances = [((a - b) ** 2).sum() for i, a in enumerate(rows) for b in rows[:i]]
    scale = np.sqrt(np.mean(distances) / 2)
    expected = double_loop(
        source, target, [scale * f for f in DEFAULT_FACTORS], "biased"
    )
    np.testing.assert_allclose(float(mmd_loss(source, target)), expected, rtol=1e-9)


def test_mmd_is_zero_for_equal_batches_and_positive_for_shifted_ones(rng):
    source = rng.normal(size=(6, 3))
    assert abs(float(mmd_loss(source, source))) < 1e-12
    assert float(mmd_loss(source, source + 3)) > 0.1


def test_unbiased_estimator_is_zero_in_the_mean(rng):
    values = [
        float(
            mmd_loss(
                *rng.normal(size=(2, 10, 2)), bandwidths=(1.0,), estimator="unbiased"
            )
        )
        for _ in range(200)
    ]
    # The biased estimator's mean would be about 0.1 here.
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(len(values))


def test_far_from_the_origin_distances_stay_accurate(rng):
    source = rng.normal(size=(6, 3)).astype("float32")
    target = (rng.normal(size=(6, 3)) + 1).astype("float32")
    near = float(mmd_loss(source, target, bandwidths=(1.0,)))
    far = float(mmd_loss(source + 1000, target + 1000, bandwidths=(1.0,)))
    np.testing.assert_allclose(far, near, atol=2e-4)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_mmd_and_its_gradient_are_finite_for_collapsed_features(dtype):
    source = tf.Variable(tf.cast(tf.ones((4, 8)), dtype))
    with tf.GradientTape() as tape:
        loss = mmd_loss(source, tf.cast(tf.ones((3, 8)), dtype))
    assert float(loss) == 0.0
    assert np.isfinite(
        np.asarray(tf.cast(tape.gradient(loss, source), "float32"))
    ).all()


def test_layer_keeps_its_configuration():
    layer = MMD(weight=2.0, bandwidths=[1.0, 4.0], estimator="unbiased", on="logits")
    config = keras.saving.serialize_keras_object(layer)
    again = keras.saving.deserialize_keras_object(config)
    kept = (again.weight, again.bandwidths, again.estimator, again.on)
    assert kept == (2.0, (1.0, 4.0), "unbiased", "logits")


@pytest.mark.parametrize("bandwidths", [(), 1.0, (0.0,), (-1.0,)])
def test_bandwidths_that_are_none_are_refused(bandwidths):
    with pytest.raises(ValueError, match="Received: bandwidths="):
        MMD(bandwidths=bandwidths)


def test_unknown_estimator_and_too_small_batches_are_refused():
    with pytest.raises(ValueError, match="Received: estimator='plain'"):
        mmd_loss(np.zeros((2, 2)), np.zeros((2, 2)), estimator="plain")
    with pytest.raises(ValueError, match=r"Received: rows=\(1, 3\)"):
        mmd_loss(np.zeros((1, 2)), np.zeros((3, 2)), estimator="unbiased")
