"""One number that the logits are divided by, so that confidence matches accuracy."""

import numpy as np
from keras import ops

from tftransfer.checks import check_choice
from tftransfer.tasks import Task

_SMALLEST = 1e-30  # of a probability, so that its logarithm is finite in float32
_NEAREST = 1e-7  # of a sigmoid to 0 and 1: float32 ends there
_TASKS = ("classification", "multi_label")
_MOST_STEPS = 200


def fit_temperature(labels, logits, *, task="classification"):
    """Find the temperature at which the labels are most likely.

    Minimizes the negative log likelihood of held-out rows. In the inverse temperature
    `s = 1 / T` it is convex, so the one minimum is found to rounding, by Newton's steps
    kept between two bounds:

        classification: L(s) = mean_i [log sum_k exp(s z_ik) - s z_iy]
        one logit, several labels: L(s) = mean_ik [log(1 + exp(s z_ik)) - s y_ik z_ik]

    Dividing by `T` moves no decision: it changes how sure the model says it is.

    Args:
        labels: Class numbers `(n,)`; for several labels 0 and 1, `(n, num_classes)`.
        logits: Float array `(n, num_classes)`, before softmax or sigmoid; `(n,)` or
            `(n, 1)` is one logit for two classes. Rows that the model was not trained
            on: on training rows nearly every model looks underconfident.
        task: `"classification"` or `"multi_label"`.

    Returns:
        Float above 0; above 1 the model was too sure, below 1 not sure enough.

    Raises:
        ValueError: If shapes or values do not fit, or no temperature is the best one:
            where every row is right the likelihood grows as `T` falls to 0, and where
            logits say nothing about the labels it grows as `T` rises.

    Example:

    >>> from tftransfer.calibration.temperature import fit_temperature
    >>> logits = [[0.0, 2.0], [0.0, 2.0], [0.0, 2.0], [0.0, 2.0]]
    >>> temperature = fit_temperature([1, 1, 1, 0], logits)
    >>> print(f"{temperature:.4f}")  # 3 of 4 right: 2 / T = log 3
    1.8205

    Reference:
        [Guo et al., 2017](https://arxiv.org/abs/1706.04599), equation 9.
    """
    check_choice("task", task, _TASKS)
    labels, logits = _read(labels, logits, task)
    slope = _softmax_slope if task == "classification" else _sigmoid_slope
    if task == "classification" and logits.shape[1] == 1:
        slope, labels = _sigmoid_slope, labels[:, None]
    _check_has_minimum(slope, labels, logits)
    return 1.0 / _root(lambda inverse: slope(labels, logits, inverse))


def negative_log_likelihood(labels, logits, *, task="classification"):
    """Mean negative log likelihood of the labels, in nats; lower is better.

    Args:
        labels: See `fit_temperature`.
        logits: See `fit_temperature`.
        task: See `fit_temperature`. Of several labels the mean over all of them.

    Returns:
        Float, at least 0.

    Raises:
        ValueError: If shapes or values do not fit.

    Example:

    >>> from tftransfer.calibration.temperature import negative_log_likelihood
    >>> print(f"{negative_log_likelihood([0], [[0.0, 0.0]]):.4f}")  # log 2
    0.6931
    """
    check_choice("task", task, _TASKS)
    labels, logits = _read(labels, logits, task)
    if task == "classification" and logits.shape[1] > 1:
        highest = logits.max(axis=1)
        sums = np.exp(logits - highest[:, None]).sum(axis=1)
        picked = logits[np.arange(len(labels)), labels]
        return float((highest + np.log(sums) - picked).mean())
    signed = np.where(labels.reshape(logits.shape) == 1, -logits, logits)
    return float(np.logaddexp(0.0, signed).mean())


def to_logits(outputs, task):
    """Return what stood before softmax or sigmoid, up to what these do not see.

    Args:
        outputs: Float tensor `(n, num_outputs)`, as the model gives them.
        task: `Task` of the model.

    Returns:
        Tensor `(n, num_outputs)`: the outputs themselves where they are logits.

    Example:

    >>> from tftransfer.calibration.temperature import to_logits
    >>> logits = to_logits(np.array([[0.5], [0.75]]), Task("classification", 1, False))
    >>> [round(float(logit), 4) for logit in logits[:, 0]]  # log 1 and log 3
    [0.0, 1.0986]
    """
    if task.from_logits:
        return outputs
    if task.name == "classification" and not task.is_binary:
        return ops.log(ops.maximum(outputs, _SMALLEST))
    inside = ops.clip(outputs, _NEAREST, 1.0 - _NEAREST)
    return ops.log(inside) - ops.log1p(-inside)


def scale_outputs(outputs, temperature, task):
    """Turn the outputs of a model into probabilities at a temperature.

    Made of `keras.ops`, so that it can go into an exported graph.

    Args:
        outputs: Float tensor `(n, num_outputs)`, as the model gives them.
        temperature: Float above 0.
        task: `Task` of the model, classification or several labels.

    Returns:
        Tensor `(n, num_classes)`, as of `Task.probabilities`.

    Example:

    >>> from tftransfer.calibration.temperature import scale_outputs
    >>> task = Task("classification", 2)
    >>> rows = scale_outputs(np.log([[9.0, 1.0]]), 2.0, task)  # roots: 3 to 1
    >>> [round(float(share), 4) for share in rows[0]]
    [0.75, 0.25]
    """
    scaled = Task(task.name, task.num_outputs, from_logits=True)
    return scaled.probabilities(to_logits(outputs, task) / temperature)


def _read(labels, logits, task):
    labels, logits = np.asarray(labels), np.asarray(logits, float)
    if task == "classification" and logits.ndim == 1:
        logits = logits[:, None]
    wanted = (len(logits),) if task == "classification" else logits.shape
    if task == "classification" and labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if logits.ndim != 2 or not logits.size or labels.shape != wanted:
        raise ValueError(
            "`logits` must have shape (rows, outputs), and `labels` (rows,) for "
            "classification or the same shape for several labels, at least one row. "
            f"Received: labels.shape={labels.shape}, logits.shape={logits.shape}. "
            "Pass class numbers, not one-hot rows."
        )
    most = max(logits.shape[1] - 1, 1) if task == "classification" else 1
    good = (labels >= 0) & (labels <= most) & (labels == np.floor(labels))
    if not good.all():
        raise ValueError(
            f"`labels` must be whole numbers in 0..{most}. "
            f"Received: labels={np.unique(labels[~good])[:10].tolist()}. "
            "Count classes from 0, in the order of the logits."
        )
    if not np.isfinite(logits).all():
        raise ValueError(
            "`logits` must be finite. Received: NaN or infinity in "
            f"{int((~np.isfinite(logits)).any(axis=1).sum())} of {len(logits)} rows. "
            "Pass what stands before softmax or sigmoid."
        )
    return labels.astype(int), logits


def _softmax_slope(labels, logits, inverse):
    """First and second derivative of the likelihood in the inverse temperature."""
    scaled = inverse * logits
    weights = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    weights /= weights.sum(axis=1, keepdims=True)
    mean = (weights * logits).sum(axis=1)
    spread = (weights * np.square(logits - mean[:, None])).sum(axis=1)
    picked = logits[np.arange(len(labels)), labels]
    return float((mean - picked).mean()), float(spread.mean())


def _sigmoid_slope(labels, logits, inverse):
    positive = np.exp(-np.logaddexp(0.0, -inverse * logits))
    spread = positive * (1.0 - positive) * np.square(logits)
    return float(((positive - labels) * logits).mean()), float(spread.mean())


def _check_has_minimum(slope, labels, logits):
    if slope(labels, logits, 0.0)[0] >= 0:
        raise ValueError(
            "`logits` must be higher for the labels than for other classes, in the "
            f"mean. Received: {len(labels):,} rows where they are not: no temperature "
            "helps. Check that labels and logits belong together."
        )
    if logits.shape[1] > 1 and labels.ndim == 1:
        right = logits.max(axis=1) == logits[np.arange(len(labels)), labels]
    else:
        right = np.where(labels == 1, logits >= 0, logits <= 0)
    if right.all():
        raise ValueError(
            "`labels` must hold some that the logits get wrong, for a temperature to "
            f"be the best one. Received: {len(labels):,} rows, all right. Pass more "
            "held-out rows, or leave the temperature at 1."
        )


def _root(slope):
    """Return where a rising function, negative at 0, is zero."""
    low, high, point = 0.0, np.inf, 1.0
    for _ in range(_MOST_STEPS):
        value, steepness = slope(point)
        low, high = (point, high) if value < 0 else (low, point)
        step = value / steepness if steepness > 0 else np.inf
        before, point = point, point - step
        if not low < point < high:  # Newton's step leads out of what is known
            point = 2 * low if np.isinf(high) else (low + high) / 2
        if abs(point - before) <= 1e-13 * before or value == 0:
            break
    return before if value == 0 else point
