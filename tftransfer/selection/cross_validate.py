"""Cross-validation of any Keras model: how well one way to build and train does."""

import re

import numpy as np

from tftransfer.checks import check_number, check_whole_number
from tftransfer.evaluation.arrays import read_labels
from tftransfer.evaluation.predictions import name_classes
from tftransfer.selection.finished import FinishedFolds
from tftransfer.selection.folds import check_folds
from tftransfer.selection.fresh_models import FreshModels, describe_model
from tftransfer.selection.memory import memory_given_back
from tftransfer.selection.reading import digest_arrays, read_rows
from tftransfer.selection.result import CrossValidation, summarize
from tftransfer.selection.running import Plan
from tftransfer.tasks import infer_task

LARGEST_SEED = 2**32 - 1
VERSION = 1  # raise it when the same settings come to deal other folds


def cross_validate(
    build,
    data,
    *,
    epochs=None,
    train=None,
    folds=5,
    seeds=(0,),
    groups=None,
    validation_fraction=0.0,
    class_names=None,
    task=None,
    directory=None,
    verbose=1,
):
    """Train on all folds but one, measure on that one, for each fold in turn.

    Tells how well a way to build and train does, and how far that depends on the rows
    it got: for choosing between ways, where a single split would leave it to luck.
    Each row is held out once for each seed, and every model is new, so all figures are
    of rows that the model has not seen.

    **The test split has no place here.** Choose on the training split, by
    cross-validation or by one fixed validation split; train the chosen way once more
    on all of it; then read the test split, once. A test split that takes part in a
    choice, be it of the number of epochs, says too much. For the same reason the
    held-out fold is never shown to training: early stopping gets rows of the training
    part by `validation_fraction`.

    One model is in memory at a time; after each fold it is given back, with its
    optimizer and its traced functions. One more model is built first, to look at. A
    frozen backbone runs anew over the rows of each fold: where it stays frozen, it is
    faster to cross-validate a head on what `extract_features` gives for all rows.

    Args:
        build: Function that returns a new compiled `keras.Model` at each call, such as
            `lambda: tft.build_transfer_model(...)`; one that takes an argument gets
            the seed. All random generators are seeded before.
        data: Arrays `(x, y)` or `(x, y, sample_weight)` (`x`: images, texts, numbers;
            also a dictionary or tuple of arrays), in batches of 32; or a batched,
            finite `tf.data.Dataset` of such, in its own batches. Datasets of our
            loaders are read in their first order; others must come in one order, and
            rows of more than 1 GiB are shuffled among as many as that holds.
        epochs: How many epochs `model.fit` runs, unless `train` is given.
        train: Function called as `train(model, dataset, validation_data=...)`, which
            trains the model in place: `tft.fine_tune`, or
            `functools.partial(tft.fine_tune, epochs=3, verbose=0)`. The dataset comes
            in a new order in each epoch, with sample weights where `data` has them.
        folds: Number of parts, at least 2.
        seeds: Whole numbers; each deals new folds and starts from new weights.
        groups: Array `(n,)`: rows of equal entries (one patient, one scene) are held
            out together.
        validation_fraction: Share of each training part, in 0..0.5, that is set aside
            as `validation_data` (the nearest `1 / n` of it), stratified, groups kept
            whole. 0 gives None.
        class_names: One str for each class, label or value; None takes
            `data.class_names` where there is one.
        task: `"classification"`, `"multi_label"` or `"regression"` where the loss of
            the model does not tell.
        directory: Folder in which finished folds are kept. A run with the same data
            and settings takes them from there; more `seeds` add to them. What `build`
            and `train` do inside is not seen from there beyond the layers, optimizer
            and loss of the model: when that changes, take another folder.
        verbose: 1 prints a line for each fold, 0 nothing.

    Returns:
        A `CrossValidation`.

    Raises:
        TypeError: If `build`, `train` or `data` is of the wrong kind.
        ValueError: If an argument is out of range, `build` returns no compiled model
            or one that goes on from an earlier one, a class has fewer rows than there
            are folds, or `directory` holds something else.

    Example:

    >>> def build():
    ...     model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    ...     loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    ...     model.compile(keras.optimizers.Adam(0.1), loss)
    ...     return model
    >>> x, y = np.arange(20)[:, None] % (2.0, 3.0), np.arange(20) % 2
    >>> result = cross_validate(build, (x, y), epochs=30, folds=4, verbose=0)
    >>> result.probabilities.shape, len(result.scores), result.metrics["accuracy"]
    ((1, 20, 2), 4, 1.0)

    Reference:
        [Kohavi, 1995](https://www.ijcai.org/Proceedings/95-2/Papers/016.pdf), for
        stratified folds; [Cawley & Talbot, 2010](https://jmlr.org/papers/v11/cawley10a.html)
        for why what was chosen by a figure must not be reported by it.
    """
    seeds = _check_arguments(epochs, train, folds, seeds, validation_fraction)
    rows = read_rows(data, class_names)
    groups = _check_groups(groups, len(rows))
    models = FreshModels(build)
    with memory_given_back():
        kind, description = _look_at_a_model(models, seeds[0], task)
    labels = read_labels(rows.labels, kind)
    names = name_classes(rows.class_names, kind.num_classes)
    check_folds(labels, folds, kind.name, groups, names)
    settings = {
        "data": rows.digest,
        "groups": None if groups is None else digest_arrays([groups]),
        "model": description,
        "training": epochs if train is None else _name(train),
        **{"folds": folds, "validation_fraction": validation_fraction},
        **{"task": kind.name, "class_names": list(names), "version": VERSION},
    }
    plan = Plan(
        rows=rows,
        labels=labels,
        task=kind.name,
        class_names=names,
        models=models,
        train=train or _Fit(epochs),
        num_folds=folds,
        groups=groups,
        validation_fraction=validation_fraction,
        finished=FinishedFolds(directory, settings),
        report=print if verbose else None,
    )
    found, probabilities, held_out = zip(*map(plan.run_seed, seeds), strict=True)
    scores = [score for of_seed in found for score in of_seed]
    return CrossValidation(
        **{"task": kind.name, "class_names": names, "num_rows": len(rows)},
        **{"num_folds": folds, "seeds": seeds, "scores": scores, "labels": labels},
        probabilities=np.stack(probabilities),
        folds=np.stack(held_out),
        **summarize(scores, len(rows)),
    )


class _Fit:
    def __init__(self, epochs):
        self._epochs = epochs

    def __call__(self, model, dataset, validation_data):
        # The dataset shuffles; Keras warns of its own default, which means nothing.
        model.fit(
            dataset,
            validation_data=validation_data,
            epochs=self._epochs,
            shuffle=False,
            verbose=0,
        )


def _check_arguments(epochs, train, folds, seeds, validation_fraction):
    if (epochs is None) == (train is None):
        raise ValueError(
            "`epochs` or `train` must be given, one of them. "
            f"Received: epochs={epochs!r}, train={train!r}. Pass epochs=5 to run "
            "model.fit, or train=tft.fine_tune."
        )
    if train is not None and not callable(train):
        raise TypeError(
            "`train` must be a function (model, dataset, validation_data=...). "
            f"Received: train of type {type(train).__name__}. Pass for example "
            "functools.partial(tft.fine_tune, epochs=3)."
        )
    if epochs is not None:
        check_whole_number("epochs", epochs)
    check_whole_number("folds", folds, 2, "One part trains while another is held out.")
    check_number("validation_fraction", validation_fraction, 0, 0.5)
    return check_seeds(seeds)


def check_seeds(seeds):
    """Return `seeds` as a tuple; raise unless they are different whole numbers."""
    seeds = tuple(seeds) if np.ndim(seeds) == 1 or isinstance(seeds, range) else seeds
    if not isinstance(seeds, tuple) or not seeds or len(set(seeds)) < len(seeds):
        raise ValueError(
            "`seeds` must be different whole numbers, at least one. "
            f"Received: seeds={seeds!r}. Write for example seeds=(0, 1, 2)."
        )
    for seed in seeds:
        check_whole_number("seeds", seed, 0)
        check_number("seeds", seed, 0, LARGEST_SEED)
    return seeds


def _check_groups(groups, num_rows):
    if groups is None:
        return None
    groups = np.asarray(groups)
    if groups.shape != (num_rows,):
        raise ValueError(
            "`groups` must have one entry for each row. "
            f"Received: groups of shape {groups.shape} for {num_rows} rows. "
            "Pass for example the patient of each image."
        )
    return groups


def _look_at_a_model(models, seed, task):
    model = models.build(seed)
    return infer_task(model, task), describe_model(model)


def _name(function):
    inner = getattr(function, "func", function)  # of a functools.partial
    module = getattr(inner, "__module__", None)
    named = f"{module}.{getattr(inner, '__qualname__', type(inner).__name__)}"
    if inner is function:
        return named
    given = f"{named} {function.args!r} {sorted(function.keywords.items())!r}"
    return re.sub(r" at 0x[0-9a-f]+", "", given)  # differs from process to process
