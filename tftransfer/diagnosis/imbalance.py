"""Metrics by which a model that always guesses one class looks good."""

import keras
import numpy as np

from tftransfer.diagnosis.finding import WARNING, Finding, NotChecked

BLIND = 0.8
_FEWEST = 20


def find_imbalance(case):
    """Find classes so unequal that no metric of the model sees it.

    Each metric scores one constant guess, of the most frequent class, and the truth. A
    metric is blind where the guess has at least 80 % of the score of the truth.
    """
    rows = case.validation or case.rows
    labels = rows.all_labels
    if labels is None or not case.model.compiled:
        raise NotChecked("labels, and a compiled model, are needed")
    if not rows.whole:
        raise NotChecked(f"`{rows.name}` is too long to count all of its labels")
    metrics = keras.tree.flatten(case.model._compile_config.config["metrics"] or [])
    outputs = case.outputs
    labels = np.asarray(labels)
    if not metrics or outputs.ndim != 2 or len(labels) < _FEWEST:
        raise NotChecked("the model has no metrics of one output (rows, classes)")
    one_hot = _to_one_hot(labels, outputs.shape[-1])
    shares = one_hot.mean(axis=0)
    if shares.max() < BLIND:
        return []
    guess = np.zeros_like(one_hot)
    guess[:, shares.argmax()] = 1
    scores = {}
    for metric in metrics:
        score = _blindness(metric, labels, one_hot, guess, outputs.shape[-1])
        if score is None or score < BLIND:
            return []
        scores[metric if isinstance(metric, str) else metric.name] = score
    return [_finding(shares, scores, labels, rows.name)]


def _to_one_hot(labels, width):
    """One column for each class, two where one output stands for two classes."""
    if labels.ndim == 2 and labels.shape[1] > 1:
        if not np.array_equal(labels.sum(axis=1), np.ones(len(labels))):
            raise NotChecked("rows have several labels")
        return labels.astype("float32")
    labels = labels.reshape(-1)
    if not np.array_equal(labels, np.round(labels)) or labels.min() < 0:
        raise NotChecked("the labels are no classes")
    count = max(width, 2)
    if labels.max() >= count:
        raise NotChecked("the labels are no classes of the model")
    return np.eye(count, dtype="float32")[labels.astype(int)]


def _blindness(metric, labels, one_hot, guess, width):
    """Score of the guess over the score of the truth; `None` where none is had."""
    truth = one_hot
    if width == 1:
        # Far on both sides of any threshold, for logits and probabilities.
        truth, guess = truth[:, 1:], guess[:, 1:]
    try:
        scores = [_score(metric, labels, x) for x in (guess, truth)]
    except Exception:  # a metric of the user's own may want anything
        return None
    if not np.all(np.isfinite(scores)) or scores[1] <= 0:
        return None
    return float(scores[0] / scores[1])


def _score(metric, labels, outputs):
    metric = _copy(metric, labels, outputs)
    if outputs.shape[-1] == 1:
        labels = labels.reshape(-1, 1)
    metric.update_state(labels, outputs)
    return float(np.mean(keras.ops.convert_to_numpy(metric.result())))


def _copy(metric, labels, outputs):
    if isinstance(metric, str) and metric.lower() in ("accuracy", "acc"):
        if outputs.shape[-1] == 1:
            return keras.metrics.BinaryAccuracy()
        if labels.ndim == 2 and labels.shape[1] > 1:
            return keras.metrics.CategoricalAccuracy()
        return keras.metrics.SparseCategoricalAccuracy()
    if isinstance(metric, keras.metrics.Metric):
        return type(metric).from_config(metric.get_config())
    found = keras.metrics.get(metric)
    if isinstance(found, keras.metrics.Metric):
        return found
    return keras.metrics.MeanMetricWrapper(found, name="copy")


def _finding(shares, scores, labels, name):
    counts = np.round(shares * len(labels)).astype(int)
    weights = {
        i: round(len(labels) / max(c, 1) / len(counts), 3) for i, c in enumerate(counts)
    }
    return Finding(
        "class_imbalance",
        WARNING,
        f"{shares.max():.0%} of `{name}` is one class, and the model's metrics do not "
        "see the others.",
        {
            "rows by class": counts.tolist()[:8],
            **{f"{name} of one constant guess": x for name, x in scores.items()},
        },
        "A model that has learned nothing scores as well as this, and is chosen.",
        f'metrics=[..., keras.metrics.F1Score(average="macro")], and '
        f"fit(..., class_weight={dict(list(weights.items())[:4])})",
    )
