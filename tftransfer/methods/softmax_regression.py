"""Multinomial logistic regression on features, with soft targets and row weights."""

import dataclasses
from collections.abc import Callable

import numpy as np

from tftransfer.checks import import_optional


@dataclasses.dataclass(frozen=True)
class SoftmaxRegression:
    """A linear model of log-probabilities.

    Attributes:
        weights: Float array `(width, num_classes)`.
        bias: Float array `(num_classes,)`.
    """

    weights: np.ndarray
    bias: np.ndarray

    def logits(self, rows):
        """Return `rows W + b`, `(n, num_classes)`, for rows `(n, width)`."""
        return rows @ self.weights + self.bias

    def __call__(self, rows):
        """Return probabilities `(n, num_classes)` of rows `(n, width)`."""
        return softmax(self.logits(rows))


@dataclasses.dataclass(frozen=True)
class ScaledModel:
    """A model of raw rows: first bring them into units, then predict.

    Attributes:
        scaling: Function of raw rows `(k, width)`, for example `Scaling`.
        model: Function from scaled rows to probabilities `(k, num_classes)`.
    """

    scaling: Callable
    model: Callable

    def __call__(self, rows):
        """Return probabilities `(k, num_classes)` of raw rows `(k, width)`."""
        return self.model(self.scaling(rows))


def fit_softmax_regression(
    rows,
    targets,
    penalty,
    *,
    weights=None,
    start=None,
    max_iterations=500,
    tolerance=1e-8,
):
    """Minimize the weighted cross-entropy plus a penalty on the weights.

        loss = sum_i w_i CE(targets_i, softmax(x_i W + b)) / sum_i w_i
               + penalty / 2 ||W||_F^2

    The bias is free. The loss is convex, so where it starts changes only how long it
    takes. Time grows linearly with the number of rows.

    Args:
        rows: Float array `(n, width)`.
        targets: Float array `(n, num_classes)`, probabilities, for example of
            `one_hot`.
        penalty: Float > 0.
        weights: Float array `(n,)`, >= 0; the same for each row where left out.
        start: `SoftmaxRegression` to start from; zeros where left out.
        max_iterations: Most steps of L-BFGS.
        tolerance: Relative decrease of the loss in one step that ends them.

    Returns:
        `SoftmaxRegression`.

    Raises:
        ImportError: If SciPy, which comes with scikit-learn, is missing.

    Example:

    >>> rows = np.array([[-1.0], [1.0]])
    >>> from tftransfer.methods.softmax_regression import fit_softmax_regression
    >>> model = fit_softmax_regression(rows, np.eye(2), penalty=0.1)
    >>> model(rows).round(2).tolist()
    [[0.89, 0.11], [0.11, 0.89]]

    Reference:
        [Liu & Nocedal, 1989](https://doi.org/10.1007/BF01589116), L-BFGS.
    """
    optimize = import_scipy("optimize")
    shape = (rows.shape[1], targets.shape[1])
    share = np.full(len(rows), 1 / len(rows)) if weights is None else weights
    share = (share / share.sum())[:, None]

    def loss(flat):
        model = _unflatten(flat, shape)
        value, gradient = cross_entropy(model.logits(rows), targets, share)
        value += penalty / 2 * np.sum(model.weights**2)
        slope = rows.T @ gradient + penalty * model.weights
        return value, _flatten(slope, gradient.sum(axis=0))

    first = np.zeros((shape[0] + 1) * shape[1])
    if start is not None:
        first = _flatten(start.weights, start.bias)
    options = {
        "maxiter": max_iterations,
        "maxcor": 20,
        "ftol": tolerance,
        "gtol": 1e-5 if tolerance > 1e-10 else 1e-8,
    }
    found = optimize.minimize(loss, first, jac=True, method="L-BFGS-B", options=options)
    return _unflatten(found.x, shape)


def cross_entropy(logits, targets, share):
    """Return the loss `sum_i share_i CE_i` and its gradient by the logits.

    Args:
        logits: Float array `(n, num_classes)`.
        targets: Float array `(n, num_classes)`, probabilities.
        share: Float array `(n, 1)`, or a float for each row.

    Returns:
        Float and array `(n, num_classes)`.
    """
    log_probabilities = log_softmax(logits)
    value = -np.sum(share * targets * log_probabilities)
    return value, share * (np.exp(log_probabilities) - targets)


def log_softmax(logits):
    """Return logarithms of the probabilities of logits `(n, num_classes)`."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def softmax(logits):
    """Return probabilities of logits, both `(n, num_classes)`."""
    return np.exp(log_softmax(logits))


def one_hot(labels, num_classes):
    """Return `(n, num_classes)`, one for the label of each row and zero elsewhere."""
    return np.eye(num_classes)[labels]


def import_scipy(part):
    """Return the module `scipy.<part>`.

    Raises:
        ImportError: If SciPy, which comes with scikit-learn, is missing.
    """
    needs = "Adapting needs scikit-learn"
    return import_optional(f"scipy.{part}", needs=needs, extra="demo")[0]


def _flatten(weights, bias):
    return np.concatenate([weights.ravel(), bias])


def _unflatten(flat, shape):
    cut = shape[0] * shape[1]
    return SoftmaxRegression(flat[:cut].reshape(shape), flat[cut:])
