"""Minimum class confusion: target calls that do not waver between two classes."""

import numpy as np

from tftransfer.methods.descent import descend
from tftransfer.methods.softmax_regression import cross_entropy, log_softmax, one_hot
from tftransfer.methods.target_input import target_input


def minimum_class_confusion(
    problem, control, *, units="source", steps=150, temperature=2.5
):
    """Move the control until the target's classes are confused as little as may be.

    Minimizes `mean CE(source) + penalty / 2 ||W||^2 + confusion(target)` from the
    weights of the control, with Adam.

    Args:
        problem: `Problem`.
        control: `Control`.
        units: Of the target rows, `"source"` or `"target"`.
        steps: Number of steps.
        temperature: By which target logits are divided in the confusion.

    Returns:
        `Candidate` named `"S.mcc"` or `"D.mcc"`.

    Raises:
        ValueError: If `units` is something else.

    Example:

    >>> from tftransfer.methods.confusion import minimum_class_confusion
    >>> from tftransfer.methods.control import fit_control
    >>> from tftransfer.methods.problem import Problem
    >>> labels = np.arange(60) % 2
    >>> source = np.stack([2.0 * labels, np.sin(np.arange(60))], axis=1)
    >>> problem = Problem(source, labels, source + [0.4, 0], 2)
    >>> minimum_class_confusion(problem, fit_control(problem)).name
    'S.mcc'

    Reference:
        [Jin et al., 2020](https://arxiv.org/abs/1912.03699), equations 2-6.
    """
    rows, _ = target_input(problem, units)
    source = problem.scaled_source
    targets = one_hot(problem.labels, problem.num_classes)

    def slopes(_, model):
        on_source = cross_entropy(model.logits(source), targets, 1 / len(source))[1]
        on_target = class_confusion(model.logits(rows), temperature)[1]
        weights = source.T @ on_source + rows.T @ on_target
        weights += control.penalty * model.weights
        return [weights, on_source.sum(axis=0) + on_target.sum(axis=0)]

    return descend("mcc", problem, control, slopes, units=units, steps=steps)


def class_confusion(logits, temperature=2.5):
    """Return how much predicted classes are confused, and its gradient by the logits.

    With probabilities `P` of `logits / temperature`, their entropies `H` and row
    weights `w` proportional to `1 + exp(-H)` (taken as constants in the gradient):

        C = P^T diag(w) P, each row divided by its sum
        loss = 1 - trace(C) / num_classes

    which is the sum off the diagonal, divided by the number of classes.

    Args:
        logits: Float array `(m, num_classes)`.
        temperature: Float > 0.

    Returns:
        Float in 0..1, and array `(m, num_classes)`.

    Example:

    >>> from tftransfer.methods.confusion import class_confusion
    >>> round(class_confusion(np.zeros((4, 2)))[0], 4)  # each row says one half
    0.5
    """
    logs = log_softmax(logits / temperature)
    probabilities = np.exp(logs)
    entropy = -np.sum(probabilities * logs, axis=1, keepdims=True)
    weights = 1 + np.exp(-entropy)
    squares = np.sum(weights * probabilities**2, axis=0)
    sums = np.sum(weights * probabilities, axis=0) + 1e-12
    num_classes = logits.shape[1]
    loss = 1 - np.sum(squares / sums) / num_classes
    slope = -weights * (2 * probabilities * sums - squares) / sums**2 / num_classes
    inner = np.sum(slope * probabilities, axis=1, keepdims=True)
    return float(loss), probabilities * (slope - inner) / temperature
