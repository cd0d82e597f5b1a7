"""BSS: the smallest singular values of a batch of features pay."""

import keras
from keras import ops

from tftransfer.checks import check_whole_number
from tftransfer.regularization.layer import Regularization


def bss_penalty(features, num_values=1):
    """Sum of the squares of the smallest singular values of a batch of features.

    Directions in which features of a batch hardly differ carry over badly from the
    source task: fine-tuning amplifies them. Punishing them suppresses negative
    transfer.

    Formula, with singular values `s_1 >= ... >= s_m` of the matrix of features and
    `m` the smaller of its two sizes:

        penalty = s_m^2 + s_(m-1)^2 + ... (`num_values` of them)

    Args:
        features: Float tensor `(rows, width)`.
        num_values: How many values pay, at least 1; all where there are fewer.

    Returns:
        Scalar tensor, >= 0; float32 for half precision input. Its gradient stays
        finite where singular values are equal.

    Example:

    >>> from tftransfer.regularization.bss import bss_penalty
    >>> round(float(bss_penalty(np.diag([3.0, 1.0, 2.0]), num_values=2)), 5)
    5.0

    Reference:
        [Chen et al., 2019](https://papers.nips.cc/paper/8466), equation 4.
    """
    features = ops.convert_to_tensor(features)
    if keras.backend.standardize_dtype(features.dtype) in ("float16", "bfloat16"):
        features = ops.cast(features, "float32")
    # Rows are not known while tracing most datasets; then the graph has both branches.
    is_wide = ops.shape(features)[0] <= features.shape[1]
    branches = [
        lambda: _smallest(ops.transpose(features), num_values),
        lambda: _smallest(features, num_values),
    ]
    if isinstance(is_wide, bool):
        return branches[0 if is_wide else 1]()
    return ops.cond(is_wide, *branches)


def _smallest(matrix, count):
    """Squares of the smallest singular values of a matrix `(m, n)` with `m >= n`."""
    gram = ops.matmul(ops.transpose(matrix), matrix)
    _, directions = ops.eigh(gram)  # the smallest first
    # s^2 = ||A v||^2, and the derivative of v does not count in that of s^2: held
    # still, v leaves out the division by differences of eigenvalues.
    directions = ops.stop_gradient(directions[:, :count])
    return ops.sum(ops.square(ops.matmul(matrix, directions)))


@keras.saving.register_keras_serializable(package="tftransfer")
class BSS(Regularization):
    """Batch spectral shrinkage: suppress the features that carry over badly.

    Give it to `build_transfer_model(regularization=...)`; see `bss_penalty` for the
    formula. With alignment it looks at the source's rows. A frozen backbone has
    nothing to pay.

    Args:
        weight: Factor of the penalty, >= 0.
        num_values: How many of the smallest singular values pay, at least 1.

    Raises:
        ValueError: If a value is out of range.
        TypeError: If one has the wrong type.

    Example:

    >>> tft.BSS(1e-3).num_values
    1

    Reference:
        [Chen et al., 2019](https://papers.nips.cc/paper/8466).
    """

    needs_features = True

    def __init__(self, weight=1e-3, num_values=1, **kwargs):
        super().__init__(weight, **kwargs)
        check_whole_number("num_values", num_values)
        self.num_values = num_values

    def penalty(self, made):
        """Return the penalty of a `TrainingPass`."""
        if made.features is None or not self.weight:
            return None
        penalty = bss_penalty(made.features, self.num_values)
        return self.weight * ops.cast(penalty, "float32")

    def get_config(self):
        """Return the arguments that rebuild this layer."""
        return {**super().get_config(), "num_values": self.num_values}
