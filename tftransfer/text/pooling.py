"""From one vector for each token to one for each text."""

import keras
from keras import ops

from tftransfer.checks import check_choice

POOLINGS = ("mean", "cls", "max")
_SMALLEST_NORM = 1e-12


@keras.saving.register_keras_serializable(package="tftransfer")
class FoldWindows(keras.layers.Layer):
    """Ids `(batch, windows, length)` to `(batch * windows, length)`, a row a window."""

    def call(self, ids):
        """Return the ids, windows of one text one after the other."""
        return ops.reshape(ids, (-1, ops.shape(ids)[-1]))

    def compute_output_spec(self, ids):
        """Return the shape and dtype."""
        return keras.KerasTensor((None, ids.shape[-1]), dtype=ids.dtype)


@keras.saving.register_keras_serializable(package="tftransfer")
class PoolTokens(keras.layers.Layer):
    """Vectors of tokens and their mask to one float32 vector for each text.

    Padding does not count. Of a text in several windows each is pooled, and the mean is
    taken of those that have tokens.

    Args:
        kind: `"mean"` of the tokens, `"cls"` for the first one's vector, or `"max"` in
            each place.
        normalize: Whether the result has length 1.
        **options: Further arguments of `keras.layers.Layer`.

    Example:

    >>> pool = PoolTokens("mean")
    >>> vectors = np.array([[[1.0], [3.0], [7.0]]], "float32")
    >>> np.asarray(pool(vectors, np.array([[1, 1, 0]], "int32"))).tolist()
    [[2.0]]
    """

    def __init__(self, kind="mean", *, normalize=False, **options):
        super().__init__(**options)
        check_choice("pooling", kind, POOLINGS)
        self.kind, self.normalize = kind, normalize

    def call(self, vectors, mask):
        """Return `(batch, width)`.

        Args:
            vectors: Tensor `(batch * windows, length, width)`.
            mask: int32 `(batch, length)`, 0 for padding, or with several windows
                `(batch, windows, length)`.
        """
        vectors = ops.cast(vectors, "float32")
        is_token = ops.not_equal(mask, 0)
        length, width = ops.shape(mask)[-1], vectors.shape[-1]
        rows = ops.reshape(is_token, (-1, length))
        pooled = self._pool(vectors, ops.expand_dims(rows, -1))
        if len(mask.shape) == 3:
            pooled = ops.reshape(pooled, (-1, ops.shape(mask)[1], width))
            is_used = ops.cast(ops.any(is_token, axis=-1), "float32")[..., None]
            pooled = ops.sum(pooled * is_used, 1) / ops.maximum(ops.sum(is_used, 1), 1)
        if self.normalize:
            squares = ops.sum(ops.square(pooled), -1, keepdims=True)
            pooled = pooled / ops.sqrt(ops.maximum(squares, _SMALLEST_NORM**2))
        return pooled

    def compute_output_spec(self, vectors, mask):
        """Return the shape and dtype."""
        return keras.KerasTensor((mask.shape[0], vectors.shape[-1]), dtype="float32")

    def get_config(self):
        """Return the arguments of the layer."""
        own = {"kind": self.kind, "normalize": self.normalize}
        return {**super().get_config(), **own}

    def _pool(self, vectors, is_token):
        if self.kind == "cls":
            return vectors[:, 0]
        if self.kind == "max":
            lowest = ops.full_like(vectors, float("-inf"))
            most = ops.max(ops.where(is_token, vectors, lowest), axis=1)
            has_tokens = ops.any(is_token, axis=1)
            return ops.where(has_tokens, most, ops.zeros_like(most))
        weights = ops.cast(is_token, "float32")
        return ops.sum(vectors * weights, 1) / ops.maximum(ops.sum(weights, 1), 1)
