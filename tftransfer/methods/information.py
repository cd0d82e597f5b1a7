"""Information maximization: calls that are sure one by one and varied together."""

import numpy as np

from tftransfer.methods.descent import descend
from tftransfer.methods.softmax_regression import cross_entropy, log_softmax, one_hot
from tftransfer.methods.target_input import target_input
from tftransfer.methods.unit_rows import unit_rows

_PSEUDO_WEIGHT, _STAY_WEIGHT, _RENEW_EVERY = 0.3, 0.01, 30


def information_maximization(problem, control, *, units="source", steps=150):
    """Move the control to sure and varied target calls that fit the clusters.

    Minimizes, with Adam from the weights of the control,

        mean H(p) - H(mean p) + 0.3 mean CE(pseudo, p) + 0.01 ||W - W_control||^2

    The pseudo-labels, renewed every 30 steps, are the nearest class centroids of the
    target rows. No source row is read after the control.

    Args:
        problem: `Problem`.
        control: `Control`.
        units: Of the target rows, `"source"` or `"target"`.
        steps: Number of steps.

    Returns:
        `Candidate` named `"S.shot"` or `"D.shot"`.

    Raises:
        ValueError: If `units` is something else.

    Example:

    >>> from tftransfer.methods.control import fit_control
    >>> from tftransfer.methods.information import information_maximization
    >>> from tftransfer.methods.problem import Problem
    >>> labels = np.arange(60) % 2
    >>> source = np.stack([2.0 * labels, np.sin(np.arange(60))], axis=1)
    >>> problem = Problem(source, labels, source + [0.4, 0], 2)
    >>> information_maximization(problem, fit_control(problem), units="target").name
    'D.shot'

    Reference:
        [Liang et al., 2020](https://arxiv.org/abs/2002.08546), equations 3-7, with a
        linear model in place of the feature extractor.
    """
    rows, _ = target_input(problem, units)
    centered = rows - rows.mean(axis=0)
    pseudo = None

    def slopes(step, model):
        nonlocal pseudo
        logits = model.logits(rows)
        if step % _RENEW_EVERY == 0:
            labels = centroid_labels(centered, np.exp(log_softmax(logits)))
            pseudo = one_hot(labels, problem.num_classes)
        slope = information_loss(logits)[1]
        slope += _PSEUDO_WEIGHT * cross_entropy(logits, pseudo, 1 / len(rows))[1]
        stay = 2 * _STAY_WEIGHT * (model.weights - control.weights)
        return [rows.T @ slope + stay, slope.sum(axis=0)]

    return descend("shot", problem, control, slopes, units=units, steps=steps)


def information_loss(logits):
    """Return `mean H(p) - H(mean p)` of softmax outputs, and its gradient by logits.

    Args:
        logits: Float array `(m, num_classes)`.

    Returns:
        Float, `<= 0`, and array `(m, num_classes)`.

    Example:

    >>> from tftransfer.methods.information import information_loss
    >>> round(information_loss(np.array([[50.0, 0.0], [0.0, 50.0]]))[0], 4)  # -log 2
    -0.6931
    """
    logs = log_softmax(logits)
    probabilities = np.exp(logs)
    mean_logs = np.log(probabilities.mean(axis=0) + 1e-12)
    gap = logs - mean_logs
    loss = np.mean(np.sum(probabilities * (mean_logs - logs), axis=1))
    inner = np.sum(probabilities * gap, axis=1, keepdims=True)
    return float(loss), -probabilities * (gap - inner) / len(logits)


def centroid_labels(centered, probabilities):
    """Return the class whose centroid is nearest in angle, `(m,)`.

    Centroids are means weighted by the probabilities, then means of the rows so
    labeled. A class that nobody is given has no centroid.

    Args:
        centered: Float array `(m, width)`, mean zero.
        probabilities: Float array `(m, num_classes)`.
    """
    unit = unit_rows(centered)
    num_classes = probabilities.shape[1]
    labels = _nearest(unit, probabilities)
    return _nearest(unit, one_hot(labels, num_classes))


def _nearest(unit, shares):
    angles = unit @ unit_rows(shares.T @ unit).T
    angles[:, shares.sum(axis=0) == 0] = -np.inf
    return angles.argmax(axis=1)
