"""A cross-validation as text: the means, then a row for each fold."""

from tftransfer.columns import align_columns
from tftransfer.evaluation.table import TITLES, show_figure, show_interval

MOST_FOLDS = 20  # beyond, a terminal shows the weakest folds only
LOWER_IS_BETTER = ("mean_absolute_error", "root_mean_squared_error")


def format_cross_validation(result):
    """Return the text that `print(result)` shows.

    Args:
        result: A `tftransfer.selection.result.CrossValidation`.

    Returns:
        Str of several lines, without a final line break.
    """
    seeds = ", ".join(map(str, result.seeds))
    heading = (
        f"{result.task}, {result.num_rows} rows, {result.num_folds} folds, "
        f"{'seeds' if len(result.seeds) > 1 else 'seed'} {seeds}"
    )
    return "\n\n".join([heading, _summary(result), _per_fold(result)])


def _summary(result):
    rows = [["", "mean", "std. dev.", ""]]
    for name, mean in result.metrics.items():
        interval = show_interval(result.intervals.get(name))
        rows.append(
            [
                TITLES[name],
                show_figure(mean),
                show_figure(result.standard_deviations[name]),
                "; ".join(filter(None, (interval, result.notes.get(name, "")))),
            ]
        )
    return "\n".join(align_columns(rows, right=[False, True, True, False]))


def _per_fold(result):
    scores, heading = result.scores, []
    names = list(result.metrics)
    if len(scores) > MOST_FOLDS:
        heading = [f"the {MOST_FOLDS} weakest of {len(scores)} folds:"]
        scores = sorted(scores, key=lambda score: _strength(score, names[0]))
        scores = scores[:MOST_FOLDS]
    rows = [["seed", "fold", "rows", *(TITLES[name] for name in names)]]
    for score in scores:
        figures = [show_figure(score["metrics"][name]) for name in names]
        rows.append(
            [*(str(score[key]) for key in ("seed", "fold", "num_rows")), *figures]
        )
    return "\n".join(heading + align_columns(rows, left=0))


def _strength(score, name):
    value = score["metrics"][name]
    if value is None:
        return float("-inf")
    return -value if name in LOWER_IS_BETTER else value
