"""A layer that joins dense and sparse features of the same rows."""

import keras
import tensorflow as tf
from keras import ops

from tftransfer.checks import check_number

_SMALLEST_NORM = 1e-12


@keras.saving.register_keras_serializable(package="tftransfer")
class JoinFeatures(keras.layers.Layer):
    """Join features `(batch, width)` of several networks, sparse ones among them.

    Where one part is sparse so is the result, its entries in order; gradients flow to
    the dense parts. Other than `keras.layers.Concatenate`, which would make a sparse
    part dense, and `tf.sparse.concat`, which has no gradient.

    Args:
        normalize: Whether each row of a dense part is divided by its length. Sparse
            parts stay as they are.
        weights: Factors above 0, one for each part; `None` for ones.
        **options: Further arguments of `keras.layers.Layer`.

    Input shape:
        List of tensors `(batch, width)`, dense or `tf.SparseTensor`.

    Output shape:
        `(batch, sum of the widths)`, float32.

    Raises:
        ValueError: If a weight is not above 0.
        TypeError: If `weights` are no numbers.

    Example:

    >>> dense, sparse = np.array([[3.0, 4.0]]), tf.sparse.from_dense([[0.0, 1.0]])
    >>> tf.sparse.to_dense(JoinFeatures()([dense, sparse])).numpy()
    array([[0.6, 0.8, 0. , 1. ]], dtype=float32)
    """

    def __init__(self, *, normalize=True, weights=None, **options):
        super().__init__(**{"dtype": "float32", **options})
        self.normalize = bool(normalize)
        self.weights_of_parts = check_weights(weights)
        self.supports_jit = False

    def call(self, parts):
        """Return the joined features."""
        factors = self.weights_of_parts or [1.0] * len(parts)
        scaled = [self._scale(*pair) for pair in zip(parts, factors, strict=True)]
        if any(map(_is_sparse, scaled)):
            return _join_sparse(scaled)
        return ops.concatenate(scaled, axis=-1)

    def _scale(self, part, factor):
        if _is_sparse(part):
            return part.with_values(part.values * factor)
        part = ops.cast(part, "float32")
        if self.normalize:
            squares = ops.sum(ops.square(part), axis=-1, keepdims=True)
            part = part / ops.sqrt(ops.maximum(squares, _SMALLEST_NORM**2))
        return part * factor

    def compute_output_spec(self, parts):
        """Return the shape and dtype; sparse where one part is."""
        shapes = [tuple(part.shape) for part in parts]
        is_table = all(len(x) == 2 and x[1] is not None for x in shapes)
        if not is_table or len(shapes) != len(self.weights_of_parts or shapes):
            raise ValueError(
                f"`parts` must be {len(self.weights_of_parts or shapes)} features of "
                f"shape (batch, width). Received: shapes {shapes}. Pool them first."
            )
        shape = (shapes[0][0], sum(width for _, width in shapes))
        return keras.KerasTensor(shape, "float32", sparse=any(map(_is_sparse, parts)))

    def get_config(self):
        """Return the arguments of the layer."""
        own = {"normalize": self.normalize, "weights": self.weights_of_parts}
        return {**super().get_config(), **own}


def check_weights(weights, count=None):
    """Return `weights` as a list of floats, or `None`, or raise.

    Args:
        weights: Sequence of numbers above 0, or `None`.
        count: How many there must be; `None` for any.

    Raises:
        ValueError: If one is not above 0, or there are not `count`.
        TypeError: If they are no numbers.
    """
    if weights is None:
        return None
    try:
        weights = [float(weight) for weight in weights]
    except (TypeError, ValueError):
        raise TypeError(
            "`weights` must be None or a list of numbers above 0. Received: "
            f"weights={weights!r}. Leave it out for equal weights."
        ) from None
    for weight in weights:
        check_number("weights", weight, 0.0)
    if 0.0 in weights or len(weights) != (count or len(weights)):
        raise ValueError(
            f"`weights` must be {count or len(weights)} numbers above 0, one for each "
            f"backbone. Received: weights={weights}. Leave a backbone out instead."
        )
    return weights


def _is_sparse(part):
    if isinstance(part, keras.KerasTensor):
        return part.sparse
    return isinstance(part, tf.SparseTensor)


def _join_sparse(parts):
    offset, indices, values = 0, [], []
    for part in parts:
        part = part if _is_sparse(part) else _with_every_entry(part)
        indices.append(part.indices + tf.constant([0, offset], tf.int64))
        values.append(tf.cast(part.values, tf.float32))
        offset += part.shape[1]
    shape = tf.stack([part.dense_shape[0], offset])
    joined = tf.SparseTensor(tf.concat(indices, 0), tf.concat(values, 0), shape)
    joined = tf.sparse.reorder(joined)
    joined.set_shape([part.shape[0], offset])
    return joined


def _with_every_entry(dense):
    """A dense tensor as a sparse one; `tf.sparse.from_dense` would drop its zeros."""
    rows, width = tf.shape(dense, tf.int64)[0], dense.shape[1]
    indices = tf.where(tf.ones([rows, width], tf.bool))
    values = tf.reshape(dense, [-1])
    sparse = tf.SparseTensor(indices, values, tf.stack([rows, width]))
    sparse.set_shape(dense.shape)
    return sparse
