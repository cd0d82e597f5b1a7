"""Folds: as even as scikit-learn's, whole groups, and their refusals."""

import numpy as np
import pytest
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from tftransfer.selection.folds import (
    assign_folds,
    check_folds,
    check_training_parts,
    set_aside,
)

NAMES = ("cat", "dog", "owl")


def counts_of(labels, folds, num_folds=5):
    return [np.bincount(labels[folds == k], minlength=3) for k in range(num_folds)]


@pytest.mark.parametrize("seed", range(3))
def test_each_fold_has_as_many_of_each_class_as_in_scikit_learn(seed):
    labels = np.random.default_rng(seed).choice(3, 103, p=(0.6, 0.3, 0.1))
    labels[:3] = 0, 1, 2  # scikit-learn deals classes in the order they appear in
    splits = StratifiedKFold(5, shuffle=True, random_state=seed).split(labels, labels)
    expected = [np.bincount(labels[test], minlength=3) for _, test in splits]
    folds = assign_folds(labels, 5, seed=seed)
    np.testing.assert_array_equal(counts_of(labels, folds), expected)


def test_seed_decides_and_membership_is_random():
    labels = np.repeat([0, 1], 20)
    np.random.seed(3)
    one = assign_folds(labels, 4, seed=1)
    np.testing.assert_array_equal(one, assign_folds(labels, 4, seed=1))
    assert (one != assign_folds(labels, 4, seed=2)).any()
    first = {int(assign_folds(labels, 4, seed=seed)[0]) for seed in range(40)}
    assert first == {0, 1, 2, 3}


def test_neighbors_in_value_go_to_different_folds(rng):
    values = rng.normal(size=(41, 2))
    folds = assign_folds(values, 4, task="regression")
    in_order = folds[np.argsort(values[:, 0])]
    for start in range(0, 40, 4):
        assert sorted(in_order[start : start + 4]) == [0, 1, 2, 3]


def test_labels_of_several_are_shared_out_evenly(rng):
    labels = (rng.random((400, 6)) < (0.5, 0.3, 0.2, 0.1, 0.05, 0.025)).astype(int)
    folds = assign_folds(labels, 5, task="multi_label")
    positives = np.array([labels[folds == k].sum(axis=0) for k in range(5)])
    assert (positives.max(axis=0) - positives.min(axis=0) <= 2).all()
    sizes = np.bincount(folds)
    assert sizes.max() - sizes.min() <= 4
    rarest = labels.sum(axis=0).argmin()
    assert positives[:, rarest].max() - positives[:, rarest].min() <= 1


@pytest.mark.parametrize("task", ["classification", "regression", "multi_label"])
def test_groups_stay_whole(rng, task):
    groups = rng.integers(0, 30, 200).astype(str)
    labels = {
        "classification": rng.integers(0, 3, 200),
        "regression": rng.normal(size=(200, 1)),
        "multi_label": rng.integers(0, 2, (200, 4)),
    }[task]
    folds = assign_folds(labels, 5, task=task, groups=groups)
    assert all(len(set(folds[groups == group])) == 1 for group in groups)
    assert set(folds) == set(range(5))


@pytest.mark.parametrize("seed", range(4))
def test_groups_are_stratified_about_as_well_as_in_scikit_learn(seed):
    random = np.random.default_rng(seed)
    groups = random.integers(0, 60, 500)
    labels = (groups + random.integers(0, 2, 500)) % 3
    kind = StratifiedGroupKFold(5, shuffle=True, random_state=seed)
    theirs = np.empty(500, int)
    for fold, (_, test) in enumerate(kind.split(labels, labels, groups)):
        theirs[test] = fold
    ours = assign_folds(labels, 5, seed=seed, groups=groups)

    def spread(folds):
        return np.std(counts_of(labels, folds), axis=0).mean()

    assert spread(ours) <= 1.5 * spread(theirs) + 1


def test_rows_set_aside_keep_the_shares_and_leave_each_class_for_training():
    labels = np.array([0] * 40 + [1] * 20 + [2])
    for seed in range(8):
        aside = set_aside(labels, 0.2, seed=seed)
        assert 7 <= aside[:40].sum() <= 9 and 3 <= aside[40:60].sum() <= 5
        assert not aside[60]
    assert not set_aside(labels, 0).any()


def test_rows_set_aside_keep_groups_whole(rng):
    groups = rng.integers(0, 20, 100)
    aside = set_aside(rng.integers(0, 2, 100), 0.25, groups=groups)
    assert 15 <= aside.sum() <= 35
    assert not set(groups[aside]) & set(groups[~aside])


def test_the_rarest_class_is_named():
    labels = np.array([0] * 9 + [2] * 3)  # no row at all of class 1: that is no matter
    check_folds(labels, 3, "classification", None, NAMES)
    with pytest.raises(
        ValueError, match="Received: folds=4, but class 'owl' has 3 rows"
    ):
        check_folds(labels, 4, "classification", None, NAMES)


def test_more_folds_than_rows_or_groups_are_refused(rng):
    with pytest.raises(ValueError, match="Received: folds=5 for 4 rows"):
        check_folds(rng.normal(size=(4, 1)), 5, "regression", None, ("0",))
    groups = np.repeat([0, 1, 2], 5)
    with pytest.raises(ValueError, match="Received: folds=5 for 3 groups"):
        check_folds(np.zeros(15, int), 5, "classification", groups, NAMES)


def test_a_class_within_one_fold_is_refused():
    folds = np.array([0, 0, 1, 1])
    with pytest.raises(
        ValueError, match=r"Received: class 'cat', all rows of which \(2\)"
    ):
        check_training_parts(np.array([0, 0, 1, 1]), folds, "classification", NAMES)
    labels = np.array([[1, 0], [1, 0], [1, 1], [1, 0]])
    with pytest.raises(ValueError, match="Received: class 'b'"):
        check_training_parts(labels, folds, "multi_label", ("a", "b"))
    check_training_parts(labels.astype(float), folds, "regression", ("a", "b"))
