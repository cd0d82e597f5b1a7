"""Two batches of features, checked and in a precision that distances can bear."""

import keras
from keras import ops

from tftransfer.checks import check_same_width


def as_feature_pair(source, target):
    """Return both batches as tensors of at least float32.

    Sums of squares over thousands of features overflow or vanish in half precision.

    Args:
        source: Float tensor `(source_batch, width)`.
        target: Float tensor `(target_batch, width)`.

    Returns:
        Two tensors, float64 where the input was, float32 otherwise.

    Raises:
        ValueError: If either is not 2-D, or their widths differ.
    """
    source, target = _at_least_float32(source), _at_least_float32(target)
    check_same_width(source, target)
    return source, target


def _at_least_float32(features):
    features = ops.convert_to_tensor(features)
    if keras.backend.standardize_dtype(features.dtype) == "float64":
        return features
    return ops.cast(features, "float32")
