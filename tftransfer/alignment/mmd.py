"""Maximum mean discrepancy: distance between two domains in a kernel space."""

import keras
from keras import ops

from tftransfer.alignment.feature_pair import as_feature_pair
from tftransfer.alignment.layer import Alignment
from tftransfer.checks import check_choice, check_number

ESTIMATORS = ("biased", "unbiased")
DEFAULT_FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0)


def mmd_loss(source, target, *, bandwidths=None, estimator="biased"):
    """Squared maximum mean discrepancy between source and target features.

    Zero when both batches have the same distribution, seen through the kernel.

    Formula, with `n` source rows `x`, `m` target rows `y` and the mean `k` of Gaussian
    kernels on **squared** distances, one a bandwidth:

        k(a, b) = mean_i exp(-||a - b||^2 / (2 bandwidth_i^2))
        biased:   mean k(x, x') + mean k(y, y') - 2 mean k(x, y)
        unbiased: the same with the diagonals of the first two terms left out

    Distances come from one Gram matrix; no `(n + m, n + m, d)` tensor is made.

    Args:
        source: Float tensor of shape `(n, d)`.
        target: Float tensor of shape `(m, d)`; `m` may differ from `n`.
        bandwidths: Kernel widths, > 0, in feature units. `None`: the factors
            `DEFAULT_FACTORS` times the root of half the mean squared distance between
            different rows of both batches (no gradient flows through it).
        estimator: `"biased"` (never negative) or `"unbiased"` (zero in the mean for
            equal distributions; needs two rows in each batch).

    Returns:
        Scalar tensor; float32 for half precision input.

    Raises:
        ValueError: If shapes do not fit, a bandwidth is not positive, the estimator is
            unknown, or the unbiased one gets a batch of one row.

    Example:

    >>> source, target = np.zeros((1, 1)), np.full((1, 1), 2.0)
    >>> value = mmd_loss(source, target, bandwidths=(1.0,))  # 1 + 1 - 2 exp(-2)
    >>> print(f"{float(value):.4f}")
    1.7293

    Reference:
        [Gretton et al., 2012](https://jmlr.org/papers/v13/gretton12a.html), equations 3
        and 5; several kernels: [Long et al., 2015](https://arxiv.org/abs/1502.02791).
    """
    check_choice("estimator", estimator, ESTIMATORS)
    check_bandwidths(bandwidths)
    source, target = as_feature_pair(source, target)
    if estimator == "unbiased":
        _check_two_rows(source, target)
    distances = _squared_distances(ops.concatenate([source, target], axis=0))
    kernel = _mean_kernel(distances, bandwidths)
    size = ops.shape(source)[0]
    within_source, across = kernel[:size, :size], kernel[:size, size:]
    within_target = kernel[size:, size:]
    mean = ops.mean if estimator == "biased" else _off_diagonal_mean
    value = mean(within_source) + mean(within_target) - 2.0 * ops.mean(across)
    return ops.maximum(value, 0.0) if estimator == "biased" else value


def check_bandwidths(bandwidths):
    """Raise unless `bandwidths` is `None` or a non-empty sequence of numbers > 0."""
    if bandwidths is None:
        return
    if not isinstance(bandwidths, (list, tuple)) or not bandwidths:
        raise ValueError(
            "`bandwidths` must be None or a tuple of positive numbers. Received: "
            f"bandwidths={bandwidths!r}. Pass for example bandwidths=(0.5, 1.0, 2.0)."
        )
    for bandwidth in bandwidths:
        check_number("bandwidths", bandwidth, 1e-12)


def _check_two_rows(source, target):
    rows = source.shape[0], target.shape[0]
    if any(count is not None and count < 2 for count in rows):
        raise ValueError(
            '`estimator="unbiased"` must get two rows or more from each domain. '
            f'Received: rows={rows}. Use larger batches or estimator="biased".'
        )


def _squared_distances(rows):
    # Centering first loses no distance and keeps the subtraction below accurate.
    rows = rows - ops.stop_gradient(ops.mean(rows, axis=0, keepdims=True))
    squares = ops.sum(ops.square(rows), axis=1)
    gram = ops.matmul(rows, ops.transpose(rows))
    distances = squares[:, None] + squares[None, :] - 2.0 * gram
    return ops.maximum(distances, 0.0) * (1.0 - _identity_like(distances))


def _identity_like(matrix):
    return ops.eye(ops.shape(matrix)[0], dtype=matrix.dtype)


def _mean_kernel(distances, bandwidths):
    if bandwidths is None:
        scale = ops.stop_gradient(_off_diagonal_mean(distances)) / 2.0
        # Collapsed features: every distance is zero, any width gives kernel one.
        scale = ops.where(scale > 0.0, scale, ops.ones_like(scale))
        variances = [scale * factor**2 for factor in DEFAULT_FACTORS]
    else:
        variances = [bandwidth**2 for bandwidth in bandwidths]
    kernels = [ops.exp(-distances / (2.0 * variance)) for variance in variances]
    return sum(kernels) / float(len(kernels))


def _off_diagonal_mean(matrix):
    size = ops.cast(ops.shape(matrix)[0], matrix.dtype)
    off_diagonal = ops.sum(matrix * (1.0 - _identity_like(matrix)))
    return off_diagonal / ops.maximum(size * (size - 1.0), 1.0)


@keras.saving.register_keras_serializable(package="tftransfer")
class MMD(Alignment):
    """Align source and target by their maximum mean discrepancy.

    Give it to `build_transfer_model(alignment=...)`; see `mmd_loss` for the formula.

    Args:
        weight: Factor of the loss, >= 0.
        bandwidths: Kernel widths, see `mmd_loss`.
        estimator: `"biased"` or `"unbiased"`.
        on: Where to align: `"features"`, `"logits"` or `"auto"`, see `Alignment`.

    Raises:
        ValueError: If an argument is not acceptable.

    Example:

    >>> tft.MMD(bandwidths=(1.0, 2.0)).bandwidths
    (1.0, 2.0)

    Reference:
        [Gretton et al., 2012](https://jmlr.org/papers/v13/gretton12a.html).
    """

    def __init__(
        self, weight=1.0, bandwidths=None, estimator="biased", on="auto", **kwargs
    ):
        super().__init__(weight=weight, on=on, **kwargs)
        bandwidths = tuple(bandwidths) if isinstance(bandwidths, list) else bandwidths
        check_bandwidths(bandwidths)
        check_choice("estimator", estimator, ESTIMATORS)
        self.bandwidths = bandwidths
        self.estimator = estimator

    def distance(self, source, target):
        """Return `mmd_loss(source, target)` with this layer's kernel."""
        return mmd_loss(
            source, target, bandwidths=self.bandwidths, estimator=self.estimator
        )

    def get_config(self):
        """Return the arguments that rebuild this layer."""
        config = super().get_config()
        return {**config, "bandwidths": self.bandwidths, "estimator": self.estimator}
