"""Whether probabilities mean what they say: rows in bins, and how far these are off."""

from typing import NamedTuple

import numpy as np

NUM_BINS = 15


class ReliabilityBins(NamedTuple):
    """Rows gathered by confidence.

    Attributes:
        counts: Integer array `(num_bins,)`, the rows of each bin.
        confidence: Float array `(num_bins,)`, what was promised in the mean; NaN in a
            bin without rows.
        frequency: Float array `(num_bins,)`, how often it came true; NaN likewise.
    """

    counts: np.ndarray
    confidence: np.ndarray
    frequency: np.ndarray

    @property
    def error(self):
        """Expected calibration error: mean gap, each bin weighed by its rows."""
        gap = np.nan_to_num(np.abs(self.frequency - self.confidence))
        return float((self.counts * gap).sum() / self.counts.sum())


def reliability_bins(confidence, outcome, num_bins=NUM_BINS, *, equal_mass=False):
    """Gather rows by confidence, and compare what was promised with what came.

    Each bin is closed on the right.

    Args:
        confidence: Float array `(n,)` in 0..1, what was promised.
        outcome: Array `(n,)` of 0 and 1 (or booleans): whether it came true.
        num_bins: Whole number, at least 1.
        equal_mass: Whether bins hold equally many rows, as far as equal confidences
            allow, which share a bin; otherwise they are equally wide.

    Returns:
        `ReliabilityBins`.

    Example:

    >>> from tftransfer.evaluation.reliability import reliability_bins
    >>> bins = reliability_bins(np.array([0.2, 0.8, 0.8]), [0, 1, 0], 2)
    >>> bins.counts.tolist(), bins.frequency.tolist()
    ([1, 2], [0.0, 0.5])

    Reference:
        [Guo et al., 2017](https://arxiv.org/abs/1706.04599), section 2; bins of equal
        mass as in [Nixon et al., 2019](https://arxiv.org/abs/1904.01685).
    """
    confidence = np.asarray(confidence)
    if confidence.dtype.kind != "f":
        confidence = confidence.astype(float)
    if equal_mass:
        last = -(-np.arange(1, num_bins + 1) * len(confidence) // num_bins) - 1
        upper = np.sort(confidence)[last]
    else:
        # In the dtype of the values, so that one on an edge is on it.
        upper = np.linspace(0, 1, num_bins + 1)[1:].astype(confidence.dtype)
    place = np.minimum(np.searchsorted(upper, confidence, side="left"), num_bins - 1)
    counts = np.bincount(place, minlength=num_bins)

    def means(values):
        sums = np.bincount(place, np.asarray(values, float), minlength=num_bins)
        return np.divide(sums, counts, np.full(num_bins, np.nan), where=counts > 0)

    return ReliabilityBins(counts, means(confidence), means(outcome))


def confidence_and_outcome(labels, probabilities, task):
    """Return what predictions promise and whether it came true.

    Classification: the largest probability of each row, and whether its class is right.
    Several labels: each probability, and whether its label is there.

    Args:
        labels: Integer array `(n,)`, or `(n, num_classes)` of 0 and 1.
        probabilities: Float array `(n, num_classes)`.
        task: `"classification"` or `"multi_label"`.

    Returns:
        Two arrays of shape `(n,)` or `(n * num_classes,)`.

    Raises:
        ValueError: If the task is another one.

    Example:

    >>> from tftransfer.evaluation.reliability import confidence_and_outcome
    >>> rows = [[0.1, 0.9], [0.6, 0.4]]
    >>> found = confidence_and_outcome([1, 1], rows, "classification")
    >>> [each.tolist() for each in found]
    [[0.9, 0.6], [True, False]]
    """
    labels, probabilities = np.asarray(labels), np.asarray(probabilities)
    if task == "multi_label":
        return probabilities.ravel(), labels.ravel()
    if task != "classification":
        raise ValueError(
            "`task` must be one of ['classification', 'multi_label']. "
            f"Received: task={task!r}. Values of a regression promise nothing."
        )
    return probabilities.max(axis=1), probabilities.argmax(axis=1) == labels


def brier_score(labels, probabilities):
    """Mean squared distance between probabilities and what came; lower is better.

    Formula, with `y` the one-hot label, or the labels themselves where there are
    several for a row:

        classification: mean_i sum_k (p_ik - y_ik)^2
        several labels: mean_i mean_k (p_ik - y_ik)^2

    Args:
        labels: Integer array `(n,)`, or `(n, num_classes)` of 0 and 1.
        probabilities: Float array `(n, num_classes)`.

    Returns:
        Float: in 0..2 for classification, in 0..1 for several labels.

    Example:

    >>> from tftransfer.evaluation.reliability import brier_score
    >>> round(brier_score([0, 1], [[0.8, 0.2], [0.5, 0.5]]), 4)  # (0.08 + 0.5) / 2
    0.29

    Reference:
        Brier, 1950, "Verification of forecasts expressed in terms of probability",
        Monthly Weather Review 78.
    """
    labels, probabilities = np.asarray(labels), np.asarray(probabilities, float)
    if labels.ndim == 2:
        return float(np.square(probabilities - labels).mean())
    one_hot = np.eye(probabilities.shape[1])[labels]
    return float(np.square(probabilities - one_hot).sum(axis=1).mean())
