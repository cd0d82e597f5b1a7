"""Augmentation, or dropout, where predictions should be fixed."""

import keras
import numpy as np

from tftransfer.diagnosis.case import take
from tftransfer.diagnosis.finding import ERROR, WARNING, Finding, NotChecked
from tftransfer.diagnosis.reading import read_rows
from tftransfer.diagnosis.told_modes import layers_told
from tftransfer.diagnosis.untouched import left_untouched

# Shuffled rows of which the rest of a batch is dropped differ a little, too.
CHANGED = 0.25
_ROWS, _TRIES, _DIFFERENT = 8, 3, 1e-4


def find_random_validation(case):
    """Find validation or test data that come out otherwise on every pass."""
    given = [x for x in (case.validation, case.test) if x is not None]
    if not given:
        raise NotChecked("no validation or test data were given")
    found = []
    for rows in given:
        again = read_rows(rows.name, rows.source, rows.usual_batch)
        share = _share_changed(rows, again)
        if share > CHANGED:
            found.append(_data_finding(rows.name, share, len(rows.digests)))
    return found


def find_random_inference(case):
    """Find a model whose predictions are random, or are in `model(x)`.

    A layer that the graph calls with `training=True` is random in `model(x)`, and so in
    what `model.export` writes, though not in `predict`, which says otherwise. In Keras
    3.15 the layers of augmentation are so by default: that is no finding here, but one
    in an export.
    """
    inputs = take(case.inputs, slice(0, _ROWS))
    with left_untouched(case.model):
        runs = [_run(case, inputs, training=False) for _ in range(_TRIES)]
        plain = [_run(case, inputs, training=None) for _ in range(_TRIES)]
    spread = max(_difference(runs[0], x) for x in runs[1:])
    if spread > _DIFFERENT:
        return [_model_finding(spread)]
    apart = max(_difference(runs[0], x) for x in plain)
    told = layers_told(case.plain, training=True)
    return [_plain_finding(apart, told)] if told and apart > _DIFFERENT else []


def find_random_export(case):
    """Find an export whose predictions change from call to call."""
    served, rows = case.served, case.inputs
    if not isinstance(rows, np.ndarray):
        raise NotChecked("the model takes no single array")
    runs = [served.predict(rows[:_ROWS]) for _ in range(_TRIES)]
    spread = max(_difference(runs[0], x) for x in runs[1:])
    if spread < _DIFFERENT:
        return []
    return [
        Finding(
            "random_export",
            ERROR,
            "The export predicts otherwise each time it is asked about the same rows.",
            {"largest difference": spread, "calls": _TRIES},
            "Augmentation or dropout is served: predictions are noisy and worse.",
            "tft.export_model(model, path, overwrite=True)  # or ExportArchive with "
            "lambda x: model(x, training=False)",
        )
    ]


def _share_changed(rows, again):
    """Share of rows whose content is other on a second pass.

    Data of which only a part was read may come shuffled; then nothing is told, but
    where the labels come in one order, and so do the rows.
    """
    first, second = rows.digests, again.digests
    if rows.whole and again.whole:
        known = set(second)
        return sum(x not in known for x in first) / len(first)
    count = min(len(first), len(second))
    labels = rows.all_labels, again.all_labels
    if any(x is None for x in labels):
        raise NotChecked(f"`{rows.name}` is long and has no labels")
    same_order = np.array_equal(labels[0][:count], labels[1][:count])
    if not same_order or len(np.unique(labels[0][:count], axis=0)) < 2:
        raise NotChecked(f"`{rows.name}` is long and shuffled")
    pairs = zip(first[:count], second[:count], strict=True)
    return sum(a != b for a, b in pairs) / count


def _run(case, inputs, training):
    options = {} if training is None else {"training": training}
    outputs = case.plain(inputs, **options)
    return np.concatenate([np.ravel(x) for x in _flat(outputs)])


def _flat(outputs):
    return [keras.ops.convert_to_numpy(x) for x in keras.tree.flatten(outputs)]


def _difference(a, b):
    scale = max(1.0, float(np.nanmax(np.abs(a))))
    return float(np.nanmax(np.abs(a - b))) / scale


def _data_finding(name, share, count):
    return Finding(
        "random_validation",
        ERROR,
        f"`{name}` is augmented: its rows are others on every pass.",
        {"share of rows changed": share, "rows": count},
        "Figures fluctuate from epoch to epoch and are lower than those of the model; "
        "the best epoch is chosen by luck.",
        f"{name} = make {name} without the random steps, before .map(augment)",
    )


def _model_finding(spread):
    return Finding(
        "random_inference",
        ERROR,
        "The model predicts otherwise each time, also with training=False.",
        {"largest difference": spread, "runs": _TRIES},
        "Augmentation or dropout is part of validation, predictions and exports.",
        "x = augment(x)  # in call: without training=True",
    )


def _plain_finding(apart, told):
    names = [layer.name for layer in told[:3]]
    return Finding(
        "training_by_default",
        WARNING,
        f"model(x) runs layers such as {names} as in training, unless training=False "
        "is said.",
        {"largest difference": apart, "layers called with training=True": len(told)},
        "model(x) and model.export, which calls it so, give augmented or dropped-out "
        "predictions, and may move statistics of BatchNormalization.",
        "x = augment(x)  # in the graph: without training=True",
    )
