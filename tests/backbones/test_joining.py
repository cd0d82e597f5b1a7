"""Dense and sparse features side by side."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tftransfer.backbones.joining import JoinFeatures

DENSE = np.array([[3.0, 4.0], [0.0, 0.0], [1.0, 0.0]], "float32")
OTHER = np.array([[0.0, 0.5, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]], "float32")
UNIT = np.array([[0.6, 0.8], [0.0, 0.0], [1.0, 0.0]], "float32")


def test_dense_parts_get_length_one_and_sparse_ones_stay():
    joined = JoinFeatures()([DENSE, tf.sparse.from_dense(OTHER)])
    assert isinstance(joined, tf.SparseTensor) and joined.shape == (3, 5)
    expected = np.concatenate([UNIT, OTHER], axis=1)
    np.testing.assert_allclose(tf.sparse.to_dense(joined), expected, rtol=1e-6)


def test_the_sparse_part_may_come_first():
    joined = JoinFeatures(weights=[2, 3])([tf.sparse.from_dense(OTHER), DENSE])
    expected = np.concatenate([2 * OTHER, 3 * UNIT], axis=1)
    np.testing.assert_allclose(tf.sparse.to_dense(joined), expected, rtol=1e-6)


def test_dense_parts_alone_stay_dense():
    joined = JoinFeatures(normalize=False, weights=[1, 2])([DENSE, OTHER])
    expected = np.concatenate([DENSE, 2 * OTHER], axis=1)
    np.testing.assert_array_equal(joined, expected)


def test_gradients_reach_the_dense_part():
    """Also where its value is zero, which a sparse copy would leave out."""
    dense, kernel = tf.Variable(DENSE), tf.constant(np.arange(10.0).reshape(5, 2))
    kernel = tf.cast(kernel, "float32")
    with tf.GradientTape() as tape:
        joined = JoinFeatures(normalize=False)([dense, tf.sparse.from_dense(OTHER)])
        loss = tf.reduce_sum(tf.sparse.sparse_dense_matmul(joined, kernel))
    expected = np.tile(np.sum(kernel[:2], axis=1), (3, 1))
    np.testing.assert_allclose(tape.gradient(loss, dense), expected, rtol=1e-6)


def test_shapes_are_known_before():
    parts = [keras.Input((2,)), keras.Input((3,), sparse=True)]
    joined = JoinFeatures()(parts)
    assert joined.shape == (None, 5) and joined.sparse and joined.dtype == "float32"
    assert not JoinFeatures()([parts[0], parts[0]]).sparse


def test_the_configuration_rebuilds_it():
    layer = JoinFeatures(normalize=False, weights=(1, 2), name="features")
    again = JoinFeatures.from_config(layer.get_config())
    np.testing.assert_array_equal(again([DENSE, OTHER]), layer([DENSE, OTHER]))
    assert again.name == "features"


def test_float16_parts_are_joined_in_float32():
    joined = JoinFeatures()([DENSE.astype("float16"), OTHER])
    np.testing.assert_allclose(joined[:, :2], UNIT, rtol=1e-6)


@pytest.mark.parametrize(
    ("weights", "error", "message"),
    [
        (0.5, TypeError, "Received: weights=0.5"),
        (["much"], TypeError, r"Received: weights=\['much'\]"),
        ([1, 0], ValueError, r"Received: weights=\[1.0, 0.0\]"),
        ([1, -1], ValueError, "Received: weights=-1.0"),
    ],
)
def test_weights_are_checked(weights, error, message):
    with pytest.raises(error, match=message):
        JoinFeatures(weights=weights)


@pytest.mark.parametrize("shapes", [[(2,), (3, 3)], [(2,), (None,)], [(2,)]])
def test_other_shapes_are_refused(shapes):
    with pytest.raises(ValueError, match="Received: shapes"):
        JoinFeatures(weights=[1, 2])([keras.Input(shape) for shape in shapes])
