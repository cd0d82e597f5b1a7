"""H-score: how far apart the classes lie, in units of how far all rows spread."""

import numpy as np

from tftransfer.methods.softmax_regression import one_hot
from tftransfer.ranking.decomposition import decompose, squared_coordinates
from tftransfer.ranking.inputs import read_classes, read_features


def h_score(features, labels, *, shrinkage="ledoit_wolf"):
    """How much of the features' variance the classes explain; higher is better.

    Formula, with the covariance `C` of the features, its mean variance `v`, the
    covariance `Z` of the rows' class means, divided by `n - 1`, and shrinkage `k`:

        H = tr(((1 - k) C + k v I)^-1 (1 - k) Z)

    Without shrinkage few rows make every backbone look perfect; where there are fewer
    rows than features they all score the number of classes less one. The shrinkage of
    Ledoit and Wolf is computed from the features, with `C` divided by `n`, as they do.

    Args:
        features: Float array `(n, width)`, `n >= 2`.
        labels: Whole numbers `(n,)` of two classes or more.
        shrinkage: `"ledoit_wolf"`, or `None` for the score as first published, with
            the pseudo-inverse of `C`, divided by `n - 1`.

    Returns:
        A float from 0 to the number of classes less one (times `n / (n - 1)` with
        shrinkage).

    Raises:
        ValueError: If an argument is not of the kind above.

    Example:

    >>> features = np.array([[-1.0], [-1.0], [1.0], [1.0]])
    >>> labels = np.array([0, 0, 1, 1])
    >>> round(tft.ranking.h_score(features, labels, shrinkage=None), 6)
    1.0

    Reference:
        [Bao et al., 2019](https://arxiv.org/abs/2212.10082); shrinkage after
        [Ibrahim et al., 2021](https://arxiv.org/abs/2110.06893), and
        [Ledoit & Wolf, 2004](https://doi.org/10.1016/S0047-259X(03)00096-4).
    """
    if shrinkage not in ("ledoit_wolf", None):
        raise ValueError(
            '`shrinkage` must be "ledoit_wolf" or None. '
            f"Received: shrinkage={shrinkage!r}. Leave it out."
        )
    rows = read_features(features)
    classes, num_classes = read_classes(labels, len(rows))
    rows = rows - rows.mean(axis=0)
    squares, directions = decompose(rows)
    # Columns of length 1, so that coordinates are those of the class means.
    columns = one_hot(classes, num_classes) / np.sqrt(np.bincount(classes))
    coordinates = squared_coordinates(rows, columns, squares, directions)
    count, width = rows.shape
    between = squares * coordinates.sum(axis=1) / (count - 1)
    if shrinkage is None:
        return float((between / (squares / (count - 1))).sum())
    share = _ledoit_wolf_shrinkage(rows, squares)
    within = (1 - share) * squares / count + share * squares.sum() / count / width
    return float((1 - share) * (between / within).sum())


def _ledoit_wolf_shrinkage(rows, squares):
    """Return the share of the mean variance in the covariance of centered rows.

    k = min(mean_i ||f_i f_i' - C||^2 / n, ||C - v I||^2) / ||C - v I||^2
    """
    count, width = rows.shape
    variances = squares / count
    of_all = np.square(variances).sum()
    away = of_all - variances.sum() ** 2 / width
    lengths = np.square(rows).sum(axis=1)
    noise = (np.square(lengths).mean() - of_all) / count
    return min(noise, away) / away if noise > 0 and away > 0 else 0.0
