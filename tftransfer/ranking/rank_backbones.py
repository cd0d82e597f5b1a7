"""Rank backbones by how well their features suit a task, before training."""

import time

import numpy as np

from tftransfer.checks import check_choice, check_positive, check_whole_number
from tftransfer.features.examples import read_examples
from tftransfer.ranking.entrants import AVAILABLE, list_entrants, load_entrant
from tftransfer.ranking.inputs import TASKS, read_numbers
from tftransfer.ranking.result import SCORES, BackboneRanking
from tftransfer.ranking.scoring import Scoring
from tftransfer.ranking.speed import rows_per_second
from tftransfer.weighting.rows import read_labels

_BATCH, _ROUNDS = 32, 3


def rank_backbones(
    data,
    backbones=AVAILABLE,
    *,
    scores=SCORES,
    task="classification",
    target=None,
    sort_by=None,
    budget=None,
    max_rows=5000,
    engine="auto",
    directory=None,
    seed=0,
    verbose="auto",
):
    """Compare backbones on your data in minutes, without training any.

    Features of all rows come from the store, or go there, so that a second ranking,
    and whatever is trained on the best one, does not compute them again. See
    `tft.ranking` for what each score says; higher is better for all.

    NCE and LEEP read the head that a network was pretrained with: they are computed for
    `pip:` backbones, and are `None` for others. For regression these two and the
    H-score are `None`.

    Args:
        data: Labeled rows, images or texts: a batched `tf.data.Dataset` of `(x, y)` or
            a tuple of arrays. Labels are class numbers, or numbers for regression.
        backbones: `"available"` for all whose weights are on this machine, smallest
            first; a list of what `load_backbone` takes, or of what it returned (with
            its size and options); or a dict from names to these.
        scores: Names out of `"logme"`, `"h_score"`, `"nce"`, `"leep"`,
            `"linear_probe"` and `"knn"`.
        task: `"classification"` or `"regression"`.
        target: Rows of another domain, as `data`, whose labels are not read, or `None`.
            Adds `tft.validation.a_distance` of both in each backbone's features.
        sort_by: One of `scores`; `None` for the first.
        budget: Seconds after which no further backbone is begun, or `None`.
        max_rows: Most rows that scores are computed on, drawn evenly over the classes'
            rows, or over the values.
        engine: What computes features: see `extract_features`.
        directory: Folder of the store, or `None` for the usual one.
        seed: Of the rows drawn and of folds.
        verbose: `0` for silence.

    Returns:
        `BackboneRanking`.

    Raises:
        ImportError: If scikit-learn is missing, for `"linear_probe"` or a target.
        TypeError: If an argument is of the wrong type.
        ValueError: If a name is unknown, or labels are missing or do not fit the task.

    Example:

    >>> inputs = keras.Input((4,))
    >>> model = keras.Model(inputs, keras.layers.Dense(2)(inputs))
    >>> rows, labels = np.random.normal(size=(40, 4)), np.arange(40) % 2
    >>> ranking = tft.rank_backbones((rows, labels), {"dense": model}, verbose=0)
    >>> ranking.best, ranking.rows[0]["features"]
    ('dense', 2)
    """
    scores = _check_scores(scores)
    sort_by = scores[0] if sort_by is None else sort_by
    check_choice("sort_by", sort_by, scores)
    check_choice("task", task, TASKS)
    check_whole_number("max_rows", max_rows, 10)
    if budget is not None:
        check_positive("budget", budget)
    batch = _first_batch(data, task)
    entrants = list_entrants(backbones, batch)
    scoring = Scoring(
        *(data, target, scores, task),
        max_rows=max_rows,
        seed=seed,
        extracting={"engine": engine, "directory": directory, "verbose": verbose},
    )
    rows: list = []
    notes: list = []
    started = time.perf_counter()
    for name, entrant in entrants.items():
        begun = time.perf_counter()
        if rows and budget is not None and begun - started > budget:
            notes.append(f"{name} was left out: the budget of {budget:g} s is used up.")
            continue
        backbone = load_entrant(name, entrant)
        row = {"name": name, **scoring.score(backbone)}
        if all(row[score] is None for score in scores):
            notes.append(
                f"{name} has no score: none asked for applies to it, or all rows have "
                "the same features."
            )
        row |= _describe(backbone.model, batch)
        rows.append({**row, "seconds": round(time.perf_counter() - begun, 2)})
    rows.sort(key=lambda row: _order(row[sort_by]))
    return BackboneRanking(rows, sort_by, task, scoring.num_rows, notes)


def _check_scores(scores):
    if isinstance(scores, str) or not isinstance(scores, (list, tuple)) or not scores:
        raise TypeError(
            f"`scores` must be a list of names out of {list(SCORES)}. "
            f"Received: scores={scores!r}. Pass one name as a list."
        )
    for score in scores:
        check_choice("scores", score, SCORES)
    return tuple(dict.fromkeys(scores))


def _first_batch(data, task):
    """Return the first batch of inputs, once its labels are known to fit the task."""
    first = read_examples(data, batch_size=_BATCH).first
    if first is None or not first[1]:
        found = "no rows" if first is None else "rows without labels"
        raise ValueError(
            "`data` must hold rows with labels. "
            f"Received: {found}. Pass a dataset of (x, y) or a tuple of arrays."
        )
    batch, (labels, *_) = first
    if task == "classification":
        read_labels("labels", labels, len(labels))
    else:
        read_numbers(labels, len(labels))
    return batch


def _describe(model, batch):
    """Return width, size and speed of a backbone."""
    rate = rows_per_second(model, batch, _ROUNDS)
    num_bytes = sum(weight.nbytes for weight in map(np.asarray, model.get_weights()))
    return {
        "features": model.output_shape[-1],
        "parameters": model.count_params(),
        "megabytes": round(num_bytes / 1e6, 3),
        "rows_per_second": rate,
    }


def _order(score):
    """Sort from the highest on; what has no score comes last."""
    return (score is None, -(score or 0.0))
