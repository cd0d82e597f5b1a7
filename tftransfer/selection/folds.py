"""Rows dealt to folds: stratified, seeded, groups whole where there are any."""

import numpy as np

VALUE_STRATA = 10  # quantiles that stand for the values of a regression with groups


def assign_folds(labels, num_folds, *, task="classification", seed=0, groups=None):
    """Give each row the number of the one fold in which it is held out.

    Without groups the rows, sorted by class and in random order within a class, are
    dealt out in turn, as in scikit-learn's `StratifiedKFold`: the folds differ by at
    most one row, in all and in each class. Rows of a regression are sorted by their
    first value, and each `num_folds` neighbors go to different folds.

    Several labels a row, or groups, cannot be dealt so evenly. The rows or groups that
    hold the largest share of some label come first, and each goes to the fold `f` that
    so far lacks its labels most, `l` running over the labels and over all rows as one
    more (of equal folds, to the first):

        argmin_f sum_l share_so_far(f, l) share_of_this(l)

    This keeps the sum of squared shares low, which is least where all are equal.

    Args:
        labels: Int array `(n,)` of classes; 0 and 1, `(n, num_classes)`, for
            multi-label; float array `(n, num_values)` for a regression.
        num_folds: Whole number, at least 2.
        task: One of `tftransfer.tasks.TASKS`.
        seed: Whole number >= 0, or a tuple of them.
        groups: Array `(n,)`: rows of equal entries share a fold.

    Returns:
        Int array `(n,)`, values in `0..num_folds - 1`.

    Example:

    >>> folds = assign_folds(np.array([0, 0, 0, 0, 1, 1]), 2)
    >>> np.bincount(folds).tolist(), np.bincount(folds[:4]).tolist()
    ([3, 3], [2, 2])

    Reference:
        [Sechidis et al., 2011](https://doi.org/10.1007/978-3-642-23808-6_10), for the
        order from the rarest label on.
    """
    random = np.random.Generator(np.random.Philox(seed))
    if groups is not None or task == "multi_label":
        return _balance(_as_columns(labels, task), num_folds, random, groups)
    strata = labels if task == "classification" else _rank(labels) // num_folds
    order = np.lexsort((random.random(len(strata)), strata))
    folds = np.empty(len(strata), "int64")
    folds[order] = np.arange(len(strata)) % num_folds
    return folds


def set_aside(labels, fraction, *, task="classification", seed=0, groups=None):
    """Choose rows to validate on, stratified as folds are.

    Args:
        labels: As in `assign_folds`.
        fraction: Share of the rows, in 0..0.5; the nearest `1 / n` is taken.
        task: One of `tftransfer.tasks.TASKS`.
        seed: Whole number >= 0, or a tuple of them.
        groups: Array `(n,)`: rows of equal entries stay together.

    Returns:
        Bool array `(n,)`. No class is in the validation rows alone, unless groups
        make it so.
    """
    if not fraction:
        return np.zeros(len(labels), bool)
    parts = assign_folds(
        labels, max(2, round(1 / fraction)), task=task, seed=seed, groups=groups
    )
    aside = parts == 0
    if task == "classification" and groups is None:
        aside &= np.isin(labels, labels[~aside])
    return aside


def check_folds(labels, num_folds, task, groups, class_names):
    """Raise `ValueError` unless each fold can hold something of everything.

    Args:
        labels: As in `assign_folds`.
        num_folds: Whole number, at least 2.
        task: One of `tftransfer.tasks.TASKS`.
        groups: Array `(n,)` or None.
        class_names: Sequence of str, one for each class.
    """
    units, kind = len(labels), "rows"
    if groups is not None:
        units, kind = len(np.unique(groups)), "groups"
    if units < num_folds:
        raise ValueError(
            f"`folds` must be at most the number of {kind}. "
            f"Received: folds={num_folds} for {units} {kind}. Take fewer folds."
        )
    if task == "classification" and groups is None:
        counts = np.bincount(labels)
        rarest = int(np.argmin(np.where(counts > 0, counts, counts.max())))
        if counts[rarest] < num_folds:
            raise ValueError(
                "`folds` must be at most the rows of the rarest class. Received: "
                f"folds={num_folds}, but class {class_names[rarest]!r} has "
                f"{counts[rarest]} rows. Take fewer folds, or join or drop the class."
            )


def check_training_parts(labels, folds, task, class_names):
    """Raise `ValueError` if some class would be held out as a whole.

    Args:
        labels: As in `assign_folds`.
        folds: What that returned.
        task: One of `tftransfer.tasks.TASKS`.
        class_names: Sequence of str, one for each class.
    """
    if task == "regression":
        return
    for number, name in enumerate(class_names):
        has_it = labels == number if task == "classification" else labels[:, number] > 0
        where = np.unique(folds[has_it])
        if len(where) == 1:
            raise ValueError(
                "`data` must hold every class in at least two folds. Received: class "
                f"{name!r}, all rows of which ({int(has_it.sum())}) fall into one "
                "fold, so that no training would see it. Add rows or groups of the "
                "class, or drop it."
            )


def _rank(labels):
    values = np.reshape(labels, (len(labels), -1))[:, 0]
    ranks = np.empty(len(values), "int64")
    ranks[np.argsort(values, kind="stable")] = np.arange(len(values))
    return ranks


def _as_columns(labels, task):
    """One column of 0 and 1 for each class, label or quantile."""
    if task == "multi_label":
        return np.asarray(labels, float)
    if task == "regression":
        labels = _rank(labels) * VALUE_STRATA // len(labels)
    return (np.asarray(labels)[:, None] == np.unique(labels)).astype(float)


def _balance(columns, num_folds, random, groups):
    columns = np.column_stack([columns, np.ones(len(columns))])
    columns = columns[:, columns.any(axis=0)]
    shares = columns / columns.sum(axis=0)
    unit_of_row = np.arange(len(shares))
    if groups is not None:
        unit_of_row = np.unique(groups, return_inverse=True)[1].ravel()
    units = np.zeros((unit_of_row.max() + 1, shares.shape[1]))
    np.add.at(units, unit_of_row, shares)
    held = np.zeros((num_folds, shares.shape[1]))
    chosen = np.empty(len(units), "int64")
    for unit in np.lexsort((random.random(len(units)), -units.max(axis=1))):
        chosen[unit] = np.argmin(held @ units[unit])
        held[chosen[unit]] += units[unit]
    return chosen[unit_of_row]
