"""Every figure that belongs to a task, from plain arrays of labels and predictions."""

import numpy as np

from tftransfer.checks import check_choice
from tftransfer.evaluation import metrics
from tftransfer.evaluation.arrays import read_labels, read_probabilities
from tftransfer.evaluation.regression import bootstrap_intervals, regression_metrics
from tftransfer.evaluation.result import Evaluation
from tftransfer.tasks import TASKS, Task


def evaluate_predictions(
    labels, probabilities, *, class_names=None, task="classification"
):
    """Measure predictions that are already there, such as those of an exported model.

    Classification: accuracy (Wilson interval), balanced accuracy (mean recall of the
    classes with rows), macro F1 (mean over classes that occur among labels or
    predictions), ROC-AUC for two classes, expected calibration error (15 bins of equal
    width, confidence = largest probability), precision, recall, F1 and rows of each
    class, confusion matrix. The predicted class has the largest probability.

    Multi-label, at threshold one half: share of rows with all labels right (Wilson),
    micro and macro F1, mean average precision and mean ROC-AUC over the labels for
    which they are defined, and all of these for each label.

    Regression: mean absolute error, root mean squared error and R2, averaged over the
    predicted values, with bootstrap intervals.

    Args:
        labels: Array. Class numbers `(n,)` or one-hot rows `(n, num_classes)`;
            multi-label 0 and 1, `(n, num_classes)`; regression `(n,)` or
            `(n, num_values)`.
        probabilities: Float array `(n, num_classes)` in 0..1, or `(n,)` for the
            probability of class 1 of 2; regression: the predicted values.
        class_names: One str for each class, label or value; None numbers them.
        task: One of `"classification"`, `"multi_label"`, `"regression"`.

    Returns:
        An `Evaluation`.

    Raises:
        TypeError: If the labels are not numbers.
        ValueError: If there are no rows, shapes differ, a label lies outside the
            classes, or the predictions are NaN or no probabilities.

    Example:

    >>> figures = evaluate_predictions([0, 1, 1], [0.2, 0.9, 0.4])
    >>> round(figures.metrics["accuracy"], 4), figures.confusion.tolist()
    (0.6667, [[1, 0], [1, 1]])
    """
    check_choice("task", task, TASKS)
    labels, probabilities = np.asarray(labels), np.asarray(probabilities)
    _check_rows(labels, probabilities)
    width = probabilities.shape[1] if probabilities.ndim == 2 else 1
    kind = Task(task, width)
    probabilities = read_probabilities(probabilities, kind)
    labels = read_labels(labels, kind)
    names = name_classes(class_names, kind.num_classes)
    measure = {
        "classification": _classification,
        "multi_label": _multi_label,
        "regression": _regression,
    }[task]
    return Evaluation(
        task=task,
        class_names=names,
        num_rows=len(labels),
        labels=labels,
        probabilities=probabilities,
        **measure(labels, probabilities, names),
    )


def name_classes(class_names, num_classes):
    """Return `class_names` as a tuple of str, or numbers where there are none.

    Raises:
        ValueError: If there are not exactly `num_classes` names.

    Example:

    >>> name_classes(None, 2)
    ('0', '1')
    """
    if class_names is None:
        return tuple(map(str, range(num_classes)))
    names = tuple(map(str, class_names))
    if len(names) != num_classes:
        raise ValueError(
            f"`class_names` must be {num_classes} names, one for each class of the "
            f"model. Received: class_names={list(names)!r}. "
            "Pass them in the order of the labels."
        )
    return names


def _check_rows(labels, probabilities):
    sizes = [
        array.shape[0] if array.ndim else None for array in (labels, probabilities)
    ]
    if sizes[0] != sizes[1] or not sizes[0]:
        raise ValueError(
            "`labels` and `probabilities` must have the same number of rows, at least "
            f"one. Received: labels.shape={labels.shape}, "
            f"probabilities.shape={probabilities.shape}. Pass one of each for each row."
        )


def _classification(labels, probabilities, names):
    confusion = metrics.confusion_matrix(
        labels, probabilities.argmax(axis=1), len(names)
    )
    correct, num_rows = int(confusion.trace()), len(labels)
    scores = [
        metrics.precision_recall_f1(confusion[k, k], predicted, labeled)
        for k, (predicted, labeled) in enumerate(
            zip(confusion.sum(axis=0), confusion.sum(axis=1), strict=True)
        )
    ]
    per_class = [
        _score_row(name, score, support)
        for name, score, support in zip(
            names, scores, confusion.sum(axis=1), strict=True
        )
    ]
    figures = {
        "accuracy": correct / num_rows,
        "balanced_accuracy": metrics.mean_of_defined([s[1] for s in scores]),
        "macro_f1": metrics.mean_of_defined([s[2] for s in scores]),
    }
    notes = _note_missing(per_class, "balanced_accuracy", "class")
    if len(names) == 2:
        figures["roc_auc"] = metrics.roc_auc(labels, probabilities[:, 1])
        if figures["roc_auc"] is None:
            notes["roc_auc"] = (
                f"all rows are {names[labels[0]]!r}; it needs both classes"
            )
    figures["expected_calibration_error"] = metrics.expected_calibration_error(
        labels, probabilities
    )
    intervals = {"accuracy": metrics.wilson_interval(correct, num_rows)}
    return dict(
        metrics=figures,
        intervals=intervals,
        notes=notes,
        per_class=per_class,
        confusion=confusion,
    )


def _multi_label(labels, probabilities, names):
    predicted = (probabilities > 0.5).astype(int)
    hits = (labels * predicted).sum(axis=0)
    counts = list(zip(hits, predicted.sum(axis=0), labels.sum(axis=0), strict=True))
    per_class = [
        _score_row(name, metrics.precision_recall_f1(*count), count[2])
        | {
            "roc_auc": metrics.roc_auc(labels[:, k], probabilities[:, k]),
            "average_precision": metrics.average_precision(
                labels[:, k], probabilities[:, k]
            ),
        }
        for k, (name, count) in enumerate(zip(names, counts, strict=True))
    ]
    right = int((labels == predicted).all(axis=1).sum())
    mean = {
        key: metrics.mean_of_defined([row[key] for row in per_class])
        for key in ("f1", "roc_auc", "average_precision")
    }
    figures = {
        "subset_accuracy": right / len(labels),
        "micro_f1": metrics.precision_recall_f1(*np.sum(counts, axis=0))[2],
        "macro_f1": mean["f1"],
        "mean_average_precision": mean["average_precision"],
        "mean_roc_auc": mean["roc_auc"],
    }
    return dict(
        metrics=figures,
        intervals={"subset_accuracy": metrics.wilson_interval(right, len(labels))},
        notes=_note_missing(per_class, "mean_average_precision", "label"),
        per_class=per_class,
        confusion=None,
    )


def _regression(labels, values, names):
    columns = regression_metrics(labels, values)
    figures = {
        name: float(value.mean()) if np.isfinite(value).all() else None
        for name, value in columns.items()
    }
    intervals = bootstrap_intervals(labels, values)
    notes = {}
    if figures["r2"] is None:
        notes["r2"] = "the labels of a value are all equal"
    per_class = [
        {"class": name}
        | {
            key: float(value[k]) if np.isfinite(value[k]) else None
            for key, value in columns.items()
        }
        for k, name in enumerate(names)
    ]
    return dict(
        metrics=figures,
        intervals={
            key: ends
            for key, ends in intervals.items()
            if ends is not None and figures[key] is not None
        },
        notes=notes,
        per_class=per_class,
        confusion=None,
    )


def _score_row(name, scores, support):
    precision, recall, f1 = scores
    return {
        "class": name,
        "precision": precision,
        "recall": recall,
        "f1": f1,
        "support": int(support),
    }


def _note_missing(per_class, figure, kind):
    missing = [row["class"] for row in per_class if not row["support"]]
    if not missing:
        return {}
    shown = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
    return {figure: f"leaves out {len(missing)} without rows ({kind} {shown})"}
