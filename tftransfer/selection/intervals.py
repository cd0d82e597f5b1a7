"""Intervals for scores of folds, whose training rows overlap."""

import math

import numpy as np
import tensorflow as tf


def corrected_interval(scores, test_share, confidence=0.95):
    """Interval for the mean score of repeated training and testing on the same rows.

    Any two folds share most of their training rows, so their scores vary less than
    those of independent experiments, and the usual interval is too narrow. Nadeau and
    Bengio widen it by the ratio of rows tested to rows trained on:

        mean(s) +- t(J - 1) sqrt((1 / J + n_test / n_train) var(s))

    with `J` scores and their variance over `J - 1`. It is an approximation: no
    unbiased estimate of this variance exists.

    Args:
        scores: Sequence of floats, one for each fold of each repetition.
        test_share: `n_test / n_train`, for example 0.25 in 5 folds.
        confidence: Chance, in 0..1, that the interval holds the expected score of a
            model trained on so many rows.

    Returns:
        `(low, high)`, or None for fewer than two scores.

    Example:

    >>> low, high = corrected_interval([0.8, 0.9, 0.85, 0.95, 0.9], 1 / 4)
    >>> round(low, 4), round(high, 4)
    (0.7738, 0.9862)

    Reference:
        [Nadeau & Bengio, 2003](https://doi.org/10.1023/A:1024068626366), section 5;
        [Bouckaert & Frank, 2004](https://doi.org/10.1007/978-3-540-24775-3_3) for
        repetitions; [Bengio & Grandvalet, 2004](https://jmlr.org/papers/v5/grandvalet04a.html)
        for why there is no exact one.
    """
    scores = np.asarray(scores, float)
    if len(scores) < 2:
        return None
    spread = math.sqrt((1 / len(scores) + test_share) * scores.var(ddof=1))
    half = student_quantile(confidence, len(scores) - 1) * spread
    return float(scores.mean() - half), float(scores.mean() + half)


def student_quantile(confidence, degrees):
    """Return `t` with `P(|T| <= t) = confidence` for Student's distribution.

    Args:
        confidence: Float in 0..1, without the ends, at most 0.999.
        degrees: Degrees of freedom, a whole number >= 1.

    Returns:
        Float > 0.

    Example:

    >>> round(student_quantile(0.95, 4), 4)
    2.7764
    """
    low, high = 0.0, 1e3  # 637 bounds 0.999 at one degree of freedom
    half = tf.constant(0.5, tf.float64)
    while high - low > 1e-10 * high:
        middle = (low + high) / 2
        ratio = tf.constant(degrees / (degrees + middle**2), tf.float64)
        outside = float(tf.math.betainc(half * degrees, half, ratio))
        low, high = (middle, high) if outside > 1 - confidence else (low, middle)
    return high
