"""Deep CORAL: distance between the feature covariances of two domains."""

import keras
from keras import ops

from tftransfer.alignment.feature_pair import as_feature_pair
from tftransfer.alignment.layer import Alignment


def coral_loss(source, target):
    """Distance between the covariances of source and target features.

    Zero when both batches have the same second-order statistics. Add it to the
    classification loss to make a backbone give both domains similar features.

    Formula, for features of width `d` (each covariance divides by `batch - 1`):

        loss = ||cov(source) - cov(target)||_F^2 / (4 d^2)

    Where both batches together are smaller than `d`, the norm is computed from the
    batch-by-batch Gram matrices instead, with the same value and without a `d` by `d`
    matrix.

    Args:
        source: Float tensor of shape `(source_batch, d)`, `source_batch >= 2`.
        target: Float tensor of shape `(target_batch, d)`, `target_batch >= 2`. The two
            batch sizes may differ.

    Returns:
        Scalar tensor, `>= 0`, in squared feature-variance units; float32 for half
        precision input. A batch of one example has covariance zero.

    Raises:
        ValueError: If either input is not 2-D, or their widths differ.

    Example:

    >>> source = np.array([[0.0], [2.0]])  # variance 2
    >>> target = np.array([[0.0], [4.0]])  # variance 8
    >>> float(coral_loss(source, target))  # (2 - 8)^2 / (4 * 1^2)
    9.0

    Reference:
        [Sun & Saenko, 2016](https://arxiv.org/abs/1607.01719), equation 1.
    """
    source, target = as_feature_pair(source, target)
    width = source.shape[1]
    source, target = _scaled_and_centered(source), _scaled_and_centered(target)
    # Tensors where the batch sizes are not known yet, as in `fit` on most datasets.
    is_wide = ops.shape(source)[0] + ops.shape(target)[0] < width
    branches = (_gram_distance, _covariance_distance)
    if isinstance(is_wide, bool):
        distance = branches[0 if is_wide else 1](source, target)
    else:
        distance = ops.cond(is_wide, *(lambda f=f: f(source, target) for f in branches))
    return distance / (4.0 * width**2)


def _scaled_and_centered(features):
    """Return `x` with `x^T x` the covariance of the features."""
    centered = features - ops.mean(features, axis=0, keepdims=True)
    degrees_of_freedom = ops.maximum(ops.shape(features)[0] - 1, 1)
    return centered / ops.sqrt(ops.cast(degrees_of_freedom, features.dtype))


def _covariance_distance(source, target):
    difference = _scatter(source) - _scatter(target)
    return ops.sum(ops.square(difference))


def _scatter(features):
    return ops.matmul(ops.transpose(features), features)


def _gram_distance(source, target):
    # ||S^T S - T^T T||^2 = ||S S^T||^2 - 2 ||S T^T||^2 + ||T T^T||^2: squares of the
    # Gram matrix of both batches, with the other sign between domains.
    both = ops.concatenate([source, target], axis=0)
    signs = ops.concatenate([ops.ones_like(source), -ops.ones_like(target)], axis=0)
    return ops.maximum(_signed_gram_norm(both, signs[:, :1]), 0.0)


@ops.custom_gradient
def _signed_gram_norm(rows, signs):
    """Return `sum_ij s_i s_j (x_i . x_j)^2`, whose gradient takes one product only."""
    gram = ops.matmul(rows, ops.transpose(rows))
    signed = gram * signs * ops.transpose(signs)

    def gradient(*args, upstream=None):
        # Backends pass it by position or by name.
        outer = args[0] if args else upstream
        return 4.0 * outer * ops.matmul(signed, rows), ops.zeros_like(signs)

    return ops.sum(signed * gram), gradient


@keras.saving.register_keras_serializable(package="tftransfer")
class CORAL(Alignment):
    """Align source and target by the covariances of their features.

    Give it to `build_transfer_model(alignment=...)`; see `coral_loss` for the formula.

    Args:
        weight: Factor of the loss, >= 0.
        on: Where to align: `"features"`, `"logits"` or `"auto"`, see `Alignment`.

    Raises:
        ValueError: If `weight` is negative or `on` is unknown.

    Example:

    >>> tft.CORAL(weight=0.5).weight
    0.5

    Reference:
        [Sun & Saenko, 2016](https://arxiv.org/abs/1607.01719).
    """

    def distance(self, source, target):
        """Return `coral_loss(source, target)`."""
        return coral_loss(source, target)
