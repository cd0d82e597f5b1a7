import numpy as np
import pytest
from scipy import sparse

from tftransfer.adaptation.checks import (
    check_same_classes,
    check_target_rows,
    check_widths,
    read_features,
    read_labels,
    split_target,
    varying_features,
)


def test_features_are_read_as_float64_and_sparse_stays_sparse():
    assert read_features("x", [[1, 2], [3, 4]]).dtype == "float64"
    rows = read_features("x", sparse.coo_array(np.eye(3, dtype="float32")))
    assert rows.format == "csr" and rows.dtype == "float64"


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("as_sparse", [False, True])
def test_entries_that_are_not_finite_are_refused_with_their_place(bad, as_sparse):
    rows = np.ones((5, 4))
    rows[2, 3] = bad
    rows = sparse.csr_array(rows) if as_sparse else rows
    with pytest.raises(ValueError, match=r"1 entries that are NaN.*row 2, column 3"):
        read_features("x", rows)


def test_features_that_are_no_numbers_are_refused():
    with pytest.raises(TypeError, match="Received: x of type list"):
        read_features("x", [["a", "b"]])


@pytest.mark.parametrize("shape", [(4,), (2, 2, 2), (0, 3), (3, 0)])
def test_features_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match=r"Received: x\.shape=\("):
        read_features("x", np.ones(shape))


def test_widths_must_agree():
    with pytest.raises(ValueError, match=r"source_features\.shape=\(2, 3\), target"):
        check_widths(np.ones((2, 3)), np.ones((2, 4)))


def test_a_target_of_fewer_than_twenty_rows_is_refused():
    check_target_rows(np.ones((20, 2)))
    with pytest.raises(ValueError, match=r"Received: target_features\.shape=\(19, 2\)"):
        check_target_rows(np.ones((19, 2)))


@pytest.mark.parametrize(
    ("labels", "classes", "places"),
    [
        (["b", "a", "b"], ["a", "b"], [1, 0, 1]),
        ([3, 1, 3], [1, 3], [1, 0, 1]),
        ([[3], [1], [3]], [1, 3], [1, 0, 1]),
        ([True, False, True], [False, True], [1, 0, 1]),
        ([-1, 1, 1], [-1, 1], [0, 1, 1]),
    ],
)
def test_labels_of_any_kind_are_read(labels, classes, places):
    found, numbers = read_labels(labels, 3)
    assert found.tolist() == classes
    assert numbers.tolist() == places


def test_labels_of_mixed_kinds_are_kept_as_they_are():
    labels = np.array([1, "a", 1], object)
    found, numbers = read_labels(labels, 3)
    assert found.tolist() == [1, "a"]
    assert numbers.tolist() == [0, 1, 0]


@pytest.mark.parametrize("missing", [None, np.nan, -1])
def test_unlabeled_rows_are_refused_by_number(missing):
    labels = [0, missing, 1, missing]
    with pytest.raises(ValueError, match="Received: 2 rows without .*rows 1, 3[.]"):
        read_labels(labels, 4)


def test_one_class_is_refused():
    with pytest.raises(ValueError, match="source_labels with only 'cat'"):
        read_labels(["cat"] * 3, 3)


@pytest.mark.parametrize("labels", [np.eye(3), [0, 1], 5])
def test_labels_must_be_one_for_each_row(labels):
    with pytest.raises(ValueError, match=r"Received: source_labels\.shape=\("):
        read_labels(labels, 3)


def test_a_class_that_the_source_lacks_is_refused_and_a_missing_one_told():
    assert check_same_classes(["a", "b"], ["b", "a"]) == []
    assert check_same_classes(["c", "b", "a"], ["b"]) == ["a", "c"]
    with pytest.raises(
        ValueError, match=r"only in source=\['c'\], only in target=\['d'\]"
    ):
        check_same_classes(["a", "b", "c"], ["b", "a", "d"])


def test_labels_that_come_with_the_target_are_dropped():
    rows = np.ones((3, 2))
    features, had_labels = split_target((rows, [1, 2, 3]))
    assert features is rows and had_labels
    features, had_labels = split_target(rows)
    assert features is rows and not had_labels
    assert not split_target(([1.0, 2.0], [3.0, 4.0]))[1]  # two rows, no labels


def test_constant_features_are_found_and_refused_where_all_are():
    assert varying_features(np.array([[1.0, 2.0], [1.0, 3.0]])).tolist() == [
        False,
        True,
    ]
    with pytest.raises(ValueError, match="Received: source_features with 2 features"):
        varying_features(np.ones((3, 2)))
