"""An evaluation as text: figures, a row for each class, the confusion matrix."""

from tftransfer.columns import align_columns

MOST_CLASSES = 20  # beyond, a terminal shows the weakest classes only
TITLES = {
    "accuracy": "accuracy",
    "average_precision": "AP",
    "balanced_accuracy": "balanced accuracy",
    "class": "class",
    "expected_calibration_error": "calibration error",
    "f1": "F1",
    "macro_f1": "macro F1",
    "mean_absolute_error": "MAE",
    "mean_average_precision": "mean AP",
    "mean_roc_auc": "mean ROC-AUC",
    "micro_f1": "micro F1",
    "precision": "precision",
    "r2": "R2",
    "recall": "recall",
    "roc_auc": "ROC-AUC",
    "root_mean_squared_error": "RMSE",
    "subset_accuracy": "all labels right",
    "support": "rows",
}


def format_evaluation(evaluation):
    """Return the text that `print(evaluation)` shows.

    Args:
        evaluation: A `tftransfer.evaluation.result.Evaluation`.

    Returns:
        Str of several lines, without a final line break.
    """
    parts = [f"{evaluation.task}, {evaluation.num_rows} rows", _summary(evaluation)]
    parts.append(_per_class(evaluation))
    if evaluation.confusion is not None and len(evaluation.confusion) <= MOST_CLASSES:
        parts.append(_confusion(evaluation))
    return "\n\n".join(parts)


def _summary(evaluation):
    rows = []
    for name, value in evaluation.metrics.items():
        interval = show_interval(evaluation.intervals.get(name))
        note = evaluation.notes.get(name, "")
        rows.append(
            [
                TITLES[name],
                show_figure(value),
                "; ".join(filter(None, (interval, note))),
            ]
        )
    widest = max(len(row[1]) for row in rows)
    return "\n".join(
        align_columns([[a, b.rjust(widest), c] for a, b, c in rows], left=3)
    )


def _per_class(evaluation):
    rows, heading = evaluation.per_class, []
    if len(rows) > MOST_CLASSES:
        key = "r2" if evaluation.task == "regression" else "f1"
        rows = sorted(rows, key=lambda row: -1 if row[key] is None else row[key])
        rows = rows[:MOST_CLASSES]
        heading = [f"the {MOST_CLASSES} weakest of {len(evaluation.per_class)}:"]
    cells = [[show_figure(row[name]) for name in rows[0]] for row in rows]
    return "\n".join(heading + align_columns([[TITLES[n] for n in rows[0]], *cells]))


def _confusion(evaluation):
    numbers = [str(number) for number in range(len(evaluation.class_names))]
    rows = [["", "", *numbers]]
    for number, name, counts in zip(
        numbers, evaluation.class_names, evaluation.confusion, strict=True
    ):
        rows.append([number, name, *map(str, counts)])
    lines = align_columns(rows, left=2)
    return "\n".join(["confusion matrix (row: label, column: prediction)", *lines])


def show_figure(value):
    """Return a figure as tables show it: four decimals, `"-"` where undefined."""
    if value is None:
        return "-"
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def show_interval(ends):
    """Return an interval `(low, high)` as tables show it; nothing for None."""
    if ends is None:
        return ""
    return f"95 % interval {show_figure(ends[0])} to {show_figure(ends[1])}"
