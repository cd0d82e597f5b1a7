"""Figures of a classifier, in NumPy: pure functions of labels and predictions."""

import math
import statistics

import numpy as np

from tftransfer.evaluation.reliability import (
    NUM_BINS,
    confidence_and_outcome,
    reliability_bins,
)


def wilson_interval(num_correct, num_rows, confidence=0.95):
    """Interval for a proportion, such as an accuracy, from independent rows.

    Unlike the usual `p +- 1.96 sd` it stays within 0..1 and is not empty when every
    row is right.

    Args:
        num_correct: Whole number in `0..num_rows`.
        num_rows: Whole number, at least 1.
        confidence: Chance, in 0..1, that the interval holds the true proportion.

    Returns:
        `(low, high)`, both in 0..1.

    Example:

    >>> low, high = wilson_interval(90, 100)
    >>> round(low, 4), round(high, 4)
    (0.8256, 0.9448)

    Reference:
        Wilson, 1927, "Probable inference, the law of succession, and statistical
        inference", JASA 22.
    """
    z = statistics.NormalDist().inv_cdf(0.5 + confidence / 2)
    share = num_correct / num_rows
    scale = 1 + z**2 / num_rows
    center = (share + z**2 / (2 * num_rows)) / scale
    spread = share * (1 - share) / num_rows + z**2 / (4 * num_rows**2)
    half = z * math.sqrt(spread) / scale
    return max(0.0, center - half), min(1.0, center + half)


def confusion_matrix(labels, predictions, num_classes):
    """Count rows by label (matrix row) and prediction (matrix column).

    Args:
        labels: Integer array `(n,)`, values in `0..num_classes - 1`.
        predictions: The same for the predicted classes.
        num_classes: Whole number.

    Returns:
        Integer array `(num_classes, num_classes)` whose sum is `n`.

    Example:

    >>> confusion_matrix(np.array([0, 0, 1]), np.array([0, 1, 1]), 2).tolist()
    [[1, 1], [0, 1]]
    """
    cells = np.asarray(labels) * num_classes + np.asarray(predictions)
    counts = np.bincount(cells, minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes)


def precision_recall_f1(true_positives, num_predicted, num_labeled):
    """Precision, recall and F1 of one class from its counts.

    Args:
        true_positives: Rows of the class that were predicted as such.
        num_predicted: Rows predicted as the class.
        num_labeled: Rows labeled as the class.

    Returns:
        Three floats in 0..1; each is None where its denominator is zero: precision of
        a class never predicted, recall of a class without rows, F1 of one with neither.

    Example:

    >>> precision_recall_f1(3, 4, 6)
    (0.75, 0.5, 0.6)
    """
    either = num_predicted + num_labeled
    return (
        float(true_positives / num_predicted) if num_predicted else None,
        float(true_positives / num_labeled) if num_labeled else None,
        float(2 * true_positives / either) if either else None,
    )


def mean_of_defined(values):
    """Mean of the values that are not None, or None when there is none.

    Example:

    >>> mean_of_defined([0.5, None, 1.0])
    0.75
    """
    defined = [value for value in values if value is not None]
    return float(np.mean(defined)) if defined else None


def roc_auc(labels, scores):
    """Chance that a positive row scores higher than a negative one, ties one half.

    Args:
        labels: Array `(n,)` of 0 and 1 (or booleans).
        scores: Float array `(n,)`, higher means more likely positive.

    Returns:
        Float in 0..1; None when only one of the two classes occurs.

    Example:

    >>> roc_auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.75

    Reference:
        [Hanley & McNeil, 1982](https://doi.org/10.1148/radiology.143.1.7063747).
    """
    positive = np.asarray(labels).astype(bool)
    num_positive = int(positive.sum())
    num_negative = positive.size - num_positive
    if not num_positive or not num_negative:
        return None
    _, place, count = np.unique(
        np.asarray(scores), return_inverse=True, return_counts=True
    )
    mean_rank = np.cumsum(count) - (count - 1) / 2
    rank_sum = mean_rank[place][positive].sum()
    wins = rank_sum - num_positive * (num_positive + 1) / 2
    return float(wins / (num_positive * num_negative))


def average_precision(labels, scores):
    """Area under the precision-recall curve as a sum of steps, without interpolation.

    Formula, over the distinct scores from high to low as thresholds:

        AP = sum_k (recall_k - recall_(k-1)) precision_k

    Args:
        labels: Array `(n,)` of 0 and 1 (or booleans).
        scores: Float array `(n,)`, higher means more likely positive.

    Returns:
        Float in 0..1; None when there is no positive row.

    Example:

    >>> round(average_precision([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]), 4)
    0.8333
    """
    positive = np.asarray(labels).astype(bool)
    scores = np.asarray(scores)
    if not positive.any():
        return None
    order = np.argsort(-scores, kind="stable")
    # Rows of equal score pass the threshold together: read the last one of each run.
    last_of_run = np.append(np.diff(scores[order]) != 0, True)
    hits = np.cumsum(positive[order])[last_of_run]
    passed = (np.arange(positive.size) + 1)[last_of_run]
    gained = np.diff(hits, prepend=0) / hits[-1]
    return float(np.sum(gained * hits / passed))


def expected_calibration_error(
    labels, probabilities, num_bins=NUM_BINS, *, equal_mass=False
):
    """How far confidence and accuracy lie apart, averaged over the rows.

    The confidence of a row is its largest probability. Rows fall into bins over
    (0, 1], each closed on the right; a bin's gap weighs by its rows:

        ECE = sum_m (|B_m| / n) |accuracy(B_m) - confidence(B_m)|

    Args:
        labels: Integer array `(n,)`, values in `0..num_classes - 1`.
        probabilities: Float array `(n, num_classes)`, rows sum to one.
        num_bins: Whole number, at least 1.
        equal_mass: Whether bins hold equally many rows; otherwise equally wide.

    Returns:
        Float in 0..1; 0 means that of the rows with confidence 0.8, 80 % are right.

    Example:

    >>> sure = np.array([[0.1, 0.9], [0.1, 0.9]])  # confidence 0.9, one of two right
    >>> round(expected_calibration_error(np.array([1, 0]), sure), 4)
    0.4

    Reference:
        [Guo et al., 2017](https://arxiv.org/abs/1706.04599), equation 3.
    """
    confidence, right = confidence_and_outcome(labels, probabilities, "classification")
    bins = reliability_bins(confidence, right, num_bins, equal_mass=equal_mass)
    return bins.error
