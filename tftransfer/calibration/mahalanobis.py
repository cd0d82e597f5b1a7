"""Distance of features to the nearest class, in units of the spread within classes."""

import keras
import numpy as np
from keras import ops

from tftransfer.checks import check_number

_SINGULAR = 1e-10  # of the mean variance; below, a direction holds rounding only
_LEAST_SHRINKAGE = 1e-6  # features that never moved keep a width that float32 can hold


@keras.saving.register_keras_serializable(package="tftransfer")
class MahalanobisDistance(keras.layers.Layer):
    """Squared Mahalanobis distance to the nearest class mean; higher is stranger.

        M(x) = min_c (f(x) - mu_c)^T Sigma^-1 (f(x) - mu_c)

    One covariance serves all classes. `fit_mahalanobis` makes and fills the layer. Its
    weights are `center` `(width,)`, `whitening` `(width, width)` with
    `whitening whitening^T = Sigma^-1`, and `means` `(num_means, width)`, centered and
    whitened; none of them is trainable.

    Args:
        num_means: Number of classes, at least 1.

    Input shape:
        Features `(batch, width)`, float.

    Output shape:
        `(batch,)`, float32, at least 0: minus the score of the paper.

    Example:

    >>> from tftransfer.calibration.mahalanobis import MahalanobisDistance
    >>> layer = MahalanobisDistance(num_means=1)
    >>> layer.build((None, 2))
    >>> layer.set_weights([np.zeros(2), np.eye(2), np.ones((1, 2))])
    >>> layer(np.array([[1.0, 1.0], [4.0, 5.0]])).numpy().tolist()  # 3^2 + 4^2
    [0.0, 25.0]

    Reference:
        [Lee et al., 2018](https://arxiv.org/abs/1807.03888), equation 2.
    """

    def __init__(self, num_means, **kwargs):
        super().__init__(**{"dtype": "float32", "trainable": False, **kwargs})
        self.num_means = num_means

    def build(self, input_shape):
        """Make the weights for features of this width."""
        width = input_shape[-1]
        shapes = {
            "center": (width,),
            "whitening": (width, width),
            "means": (self.num_means, width),
        }
        for name, shape in shapes.items():
            weight = self.add_weight(
                name=name, shape=shape, initializer="zeros", trainable=False
            )
            setattr(self, name, weight)

    def call(self, features):
        """Return the distance of each row to its nearest mean."""
        rows = ops.matmul(features - self.center, self.whitening)
        squares = ops.sum(ops.square(rows), axis=-1, keepdims=True)
        products = ops.matmul(rows, ops.transpose(self.means))
        distances = squares - 2.0 * products + ops.sum(ops.square(self.means), axis=-1)
        return ops.maximum(ops.min(distances, axis=-1), 0.0)

    def get_config(self):
        """Return the arguments of the layer."""
        return {**super().get_config(), "num_means": self.num_means}


def fit_mahalanobis(features, labels=None, *, shrinkage=None):
    """Make the layer that tells how far features lie from those given.

    Formula, with `mu_c` the mean of class `c`:

        Sigma = (1 - a) S + a tr(S) / width I,   S = 1 / n sum_i (f_i - mu_yi)(...)^T

    With `shrinkage=0` it is that of the paper. Fewer rows than some times the width
    make `S` singular or nearly so; then distances of new rows explode in directions
    that the rows given just did not show, and what is strange drowns in them.

    Args:
        features: Float array `(n, width)`, of rows the model was trained on.
        labels: Class numbers `(n,)`; `None`: one mean for all rows.
        shrinkage: `a` in 0..1; `None` takes that of Ledoit and Wolf, nearest to the
            true covariance in the mean.

    Returns:
        `MahalanobisDistance`, built and filled.

    Raises:
        ValueError: If shapes do not fit, features are not finite or all equal within
            their class, or `shrinkage` is no share.
        TypeError: If `shrinkage` is no number.

    Example:

    >>> from tftransfer.calibration.mahalanobis import fit_mahalanobis
    >>> rows = np.array([[-1.0, 0.0], [1.0, 0.0], [0.0, -1.0], [0.0, 1.0]])  # S = I / 2
    >>> layer = fit_mahalanobis(rows, shrinkage=0.0)
    >>> [round(float(x), 3) for x in layer(np.array([[0.0, 0.0], [0.0, 3.0]]))]
    [0.0, 18.0]

    Reference:
        [Lee et al., 2018](https://arxiv.org/abs/1807.03888), equation 1;
        [Ledoit & Wolf, 2004](https://doi.org/10.1016/S0047-259X(03)00096-4).
    """
    if shrinkage is not None:
        check_number("shrinkage", shrinkage, 0.0, 1.0)
    features, labels = _read(features, labels)
    classes, place = np.unique(labels, return_inverse=True)
    counts = np.bincount(place)[:, None]
    sums = np.zeros((len(classes), features.shape[1]))
    np.add.at(sums, place, features)
    means = sums / counts
    whitening = _whitening(features - means[place], shrinkage)
    center = features.mean(axis=0)
    layer = MahalanobisDistance(len(classes))
    layer.build((None, features.shape[1]))
    layer.set_weights([center, whitening, (means - center) @ whitening])
    return layer


def ledoit_wolf_shrinkage(rows):
    """Share of the identity that brings a covariance nearest to the true one.

    Args:
        rows: Float array `(n, width)`, of mean zero.

    Returns:
        Float in 0..1; with many rows it goes to 0.

    Example:

    >>> from tftransfer.calibration.mahalanobis import ledoit_wolf_shrinkage
    >>> round(ledoit_wolf_shrinkage(np.eye(3) - 1 / 3), 4)  # no covariance in 3 rows
    1.0

    Reference:
        [Ledoit & Wolf, 2004](https://doi.org/10.1016/S0047-259X(03)00096-4).
    """
    num_rows, width = rows.shape
    covariance = rows.T @ rows / num_rows
    squares = np.square(covariance).sum()
    spread = squares - np.trace(covariance) ** 2 / width
    fourth = np.square(np.square(rows).sum(axis=1)).mean()
    noise = (fourth - squares) / num_rows
    return float(np.clip(noise / spread, 0.0, 1.0)) if spread > 0 else 1.0


def _whitening(rows, shrinkage):
    num_rows, width = rows.shape
    if shrinkage is None:
        shrinkage = max(ledoit_wolf_shrinkage(rows), _LEAST_SHRINKAGE)
    covariance = rows.T @ rows / num_rows
    mean_variance = np.trace(covariance) / width
    if not mean_variance > 0:
        raise ValueError(
            "`features` must differ within a class. Received: "
            f"{num_rows:,} rows that equal the mean of their class. Pass more rows of "
            "each class, and see that the backbone's features are not dead."
        )
    covariance *= 1.0 - shrinkage
    covariance.flat[:: width + 1] += shrinkage * mean_variance
    # The pivots of Cholesky squared are no less than the smallest variance.
    root = _cholesky(covariance)
    if root is None or np.diag(root).min() ** 2 < _SINGULAR * mean_variance:
        raise ValueError(
            "`shrinkage` must be above 0 where features depend on one another or are "
            f"wider than the rows are many. Received: shrinkage={shrinkage} for "
            f"{num_rows:,} rows of width {width}. Leave it out."
        )
    return np.linalg.inv(root).T


def _cholesky(covariance):
    try:
        return np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:
        return None


def _read(features, labels):
    features = np.asarray(features, float)
    labels = np.zeros(len(features), int) if labels is None else np.asarray(labels)
    if features.ndim != 2 or not features.size or labels.shape != features.shape[:1]:
        raise ValueError(
            "`features` must have shape (rows, width), `labels` (rows,), at least one "
            f"row. Received: features.shape={features.shape}, labels.shape="
            f"{labels.shape}. Pool feature maps, and pass class numbers."
        )
    if not np.isfinite(features).all():
        raise ValueError(
            "`features` must be finite. Received: NaN or infinity in "
            f"{int((~np.isfinite(features)).any(axis=1).sum())} of {len(features)} "
            "rows. Look for NaN in the images or weights."
        )
    return features, labels
