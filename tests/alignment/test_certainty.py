import numpy as np
import tensorflow as tf

from tftransfer.alignment.certainty import certainty_weights


def test_weights_are_those_of_the_formula_with_mean_one(rng):
    p = rng.dirichlet(np.ones(4), size=7)
    certainty = 1 + np.exp((p * np.log(p)).sum(axis=1))
    found = certainty_weights(np.log(p))
    np.testing.assert_allclose(found, certainty / certainty.mean(), rtol=1e-12)
    assert np.isclose(np.mean(found), 1)


def test_rows_alike_count_alike():
    np.testing.assert_array_equal(certainty_weights(np.log(np.full((3, 2), 0.5))), 1)


def test_no_gradient_goes_through_them(rng):
    logits = tf.Variable(rng.normal(size=(5, 3)))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(certainty_weights(tf.nn.log_softmax(logits)) ** 2)
    assert tape.gradient(loss, logits) is None
