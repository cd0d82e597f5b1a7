"""One linear layer that says what a model of features says."""

import numpy as np

from tftransfer.methods.problem import scaling_of
from tftransfer.methods.softmax_regression import fit_softmax_regression, softmax

EXACT = 1e-6  # largest difference of probabilities for a model that is linear itself
PENALTY = 1e-3  # of a student, in units of the rows' own spread
_SMALLEST = 1e-300


def fit_linear_student(predict_proba, rows, probabilities):
    """Return kernel and bias of a softmax layer that stands for a model.

    A model that is itself a softmax of something linear, as the control is, is read off
    exactly, one feature after the other. Any other is distilled: the layer learns its
    probabilities on the rows, weights penalized by 1e-3 in units of their spread.

    Args:
        predict_proba: Function from rows `(k, width)` to probabilities.
        rows: Float array `(m, width)` that the layer is meant for.
        probabilities: Float array `(m, num_classes)`: what it shall say of them.

    Returns:
        Kernel `(width, num_classes)`, bias `(num_classes,)`, and the share of `rows`
        whose class is that of `probabilities`.

    Example:

    >>> rows = np.array([[0.0], [1.0], [2.0]])
    >>> logits = rows * [[-1.0, 1.0]]
    >>> def model(x):
    ...     p = np.exp(x * [[-1.0, 1.0]])
    ...     return p / p.sum(axis=1, keepdims=True)
    >>> kernel, bias, agreement = fit_linear_student(model, rows, model(rows))
    >>> np.round(kernel[:, 1] - kernel[:, 0], 6).tolist(), agreement
    ([2.0], 1.0)

    Reference:
        [Hinton et al., 2015](https://arxiv.org/abs/1503.02531).
    """
    rows = np.asarray(rows, "float64")
    kernel, bias = _read_off(predict_proba, rows)
    found = softmax(rows @ kernel + bias)
    if not np.abs(found - probabilities).max() < EXACT:
        kernel, bias = distill(rows, probabilities)
        found = softmax(rows @ kernel + bias)
    agreement = np.mean(found.argmax(axis=1) == probabilities.argmax(axis=1))
    return kernel, bias, float(agreement)


def _read_off(predict_proba, rows):
    """Take differences of log-probabilities along each feature."""
    scaling = scaling_of(rows)
    mean = scaling.mean
    probes = np.concatenate([mean[None], mean + np.diag(scaling.spread)])
    logs = np.log(np.maximum(predict_proba(probes), _SMALLEST))
    logs -= logs.mean(axis=1, keepdims=True)  # softmax does not see it
    kernel = (logs[1:] - logs[0]) / scaling.spread[:, None]
    return kernel, logs[0] - mean @ kernel


def distill(rows, probabilities, penalty=PENALTY):
    """Return kernel and bias of a softmax layer that learned probabilities of rows.

    Args:
        rows: Float array `(m, width)`.
        probabilities: Float array `(m, num_classes)`.
        penalty: Of the weights, in units of the rows' own spread.
    """
    scaling = scaling_of(rows)
    student = fit_softmax_regression(scaling(rows), probabilities, penalty)
    kernel = student.weights / scaling.spread[:, None]
    return kernel, student.bias - scaling.mean @ kernel
