"""Logarithm of maximum evidence: a linear model of the labels, its weights averaged."""

import numpy as np

from tftransfer.ranking.decomposition import decompose, squared_coordinates
from tftransfer.ranking.inputs import read_columns, read_features

_TOLERANCE = 1e-6  # relative change of t that ends the search
_MOST_STEPS = 1000  # about 5 are taken, 50 where there are fewer rows than features
_LARGEST = 1e12  # of t, in units of the largest square: the features tell nothing


def logme(features, labels, *, task="classification"):
    """How probable the labels are under a Bayesian linear model; higher is better.

    Formula, for a column `y` of the labels (of each class, ones for its rows and zeros
    elsewhere), features `F` of shape `(n, width)` and weights with a Gaussian prior:

        L = max over a, b > 0 of log p(y | F, a, b) / n
        y = F w + noise,  w ~ N(0, I / a),  noise ~ N(0, I / b)

    and the mean over the columns. Unlike the fit of the best weights, it does not
    reward features for being many. Compare it between backbones on the same rows; by
    itself it means little. Scaling all features changes nothing.

    The maximum is reached to nine digits or so. The authors' program stops sooner and
    adds 1e-5 to sums of squares, which counts where features are large; and its fast
    form leaves out `log a` for each direction that rows fewer than features lack.

    Args:
        features: Float array `(n, width)`, `n >= 2`.
        labels: Whole numbers `(n,)` of two classes or more; for regression numbers
            `(n,)` or `(n, values)`. Labels of several classes a row are a regression of
            zeros and ones.
        task: `"classification"` or `"regression"`.

    Returns:
        A float.

    Raises:
        ValueError: If features or labels are not of the kind above.

    Example:

    >>> features = np.array([[1.0, 0.1], [0.9, 0.0], [0.1, 1.0], [0.0, 0.9]])
    >>> score = tft.ranking.logme(features, np.array([0, 0, 1, 1]))
    >>> bool(score > tft.ranking.logme(features, np.array([0, 1, 0, 1])))
    True

    Reference:
        [You et al., 2021](https://arxiv.org/abs/2102.11005), equation 2, by the fixed
        point of [You et al., 2022](https://arxiv.org/abs/2110.10545), algorithm 3.
    """
    rows = read_features(features)
    columns = read_columns(labels, len(rows), task)
    squares, directions = decompose(rows)
    coordinates = squared_coordinates(rows, columns, squares, directions)
    totals = np.square(columns).sum(axis=0)
    # What no feature explains; rounding where they explain all.
    rest = np.maximum(
        totals - coordinates.sum(axis=0), len(rows) * np.finfo(float).eps * totals
    )
    return float(_largest_evidences(squares, coordinates, rest, len(rows)).mean())


def _largest_evidences(squares, coordinates, rest, count):
    """Return `L` of each column.

    With `t = a / b`, squared singular values `s_i`, coordinates `x_i` of the column and
    the rest `r` of its square, the best `b` for a given `t` is `n / q`:

        q = sum_i x_i^2 t / (t + s_i) + r
        L = -(log(2 pi q / n) + 1 + sum_i log(1 + s_i / t) / n) / 2
    """
    squares = squares[:, None]
    t = _find_ratio(squares, coordinates, rest, count)
    misfit = (coordinates * t / (t + squares)).sum(axis=0) + rest
    volume = np.log1p(squares / t).sum(axis=0)
    return -(np.log(2 * np.pi * misfit / count) + 1 + volume / count) / 2


def _find_ratio(squares, coordinates, rest, count):
    """Return `t = a / b` of each column where it no longer changes.

    From `t = 1`, with `m = E w` and `g` features' worth of weights in use:

        g = sum_i s_i / (s_i + t),  a = g / ||m||^2,  b = (n - g) / ||F m - y||^2
    """
    t = np.ones(coordinates.shape[1])
    largest = _LARGEST * squares.max()
    for _ in range(_MOST_STEPS):
        shrunk = t / (t + squares)
        in_use = (squares / (t + squares)).sum(axis=0)
        unused = count - len(squares) + shrunk.sum(axis=0)  # n - g, without rounding
        of_weights = (squares * coordinates / (t + squares) ** 2).sum(axis=0)
        of_errors = (coordinates * shrunk**2).sum(axis=0) + rest
        with np.errstate(divide="ignore"):  # a label that no feature knows of
            found = in_use / of_weights * of_errors / unused
        found = np.minimum(found, largest)
        done = np.abs(found - t) <= _TOLERANCE * t
        t = found
        if done.all():
            break
    return t
