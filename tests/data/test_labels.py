import numpy as np
import pytest

from tftransfer.data.labels import read_labels


def rows(**columns):
    values = zip(*columns.values(), strict=True)
    return {i + 2: dict(zip(columns, row, strict=True)) for i, row in enumerate(values)}


def test_names_are_classes_in_sorted_order():
    labels = read_labels(rows(kind=["dog", "cat", " dog "]), ["kind"])
    assert labels.class_names == ["cat", "dog"]
    assert labels.values.tolist() == [1, 0, 1] and labels.values.dtype == np.int64


def test_whole_numbers_are_classes_in_their_own_order():
    labels = read_labels(rows(kind=["10", "9", "2"]), ["kind"])
    assert labels.class_names == ["2", "9", "10"] and labels.values.tolist() == [
        2,
        1,
        0,
    ]


def test_given_class_names_fix_the_order_for_names_and_numbers():
    names = ["zebra", "ant", "cow"]
    assert read_labels(
        rows(kind=["ant", "cow"]), ["kind"], class_names=names
    ).values.tolist() == [1, 2]
    assert read_labels(
        rows(kind=["0", "2"]), ["kind"], class_names=names
    ).values.tolist() == [0, 2]


@pytest.mark.parametrize(("good", "bad"), [("0", "3"), ("0", "-1"), ("x", "bee")])
def test_labels_outside_the_classes_are_named_by_row(good, bad):
    with pytest.raises(ValueError, match=r"one of the classes .*1 row\(s\): \[3\]"):
        read_labels(rows(kind=[good, bad]), ["kind"], class_names=["x", "y", "z"])


def test_several_columns_are_multi_label():
    labels = read_labels(rows(a=["0", "1"], b=["1", "1.0"]), ["a", "b"])
    np.testing.assert_array_equal(labels.values, np.float32([[0, 1], [1, 1]]))
    assert labels.values.dtype == np.float32 and labels.class_names == ["a", "b"]


def test_rare_combinations_share_a_stratum():
    a = ["1"] * 12 + ["0"] * 3
    b = ["0"] * 12 + ["0", "1", "1"]
    strata = read_labels(rows(a=a, b=b), ["a", "b"]).strata
    assert strata.tolist() == ["10"] * 12 + ["rare"] * 3


def test_regression_reads_numbers_and_stratifies_by_quantile():
    values = [str(i / 2) for i in range(40)]
    labels = read_labels(rows(y=values), ["y"], "regression")
    np.testing.assert_allclose(labels.values[:, 0], np.arange(40) / 2)
    assert labels.values.shape == (40, 1)
    assert np.bincount(labels.strata).tolist() == [4] * 10


@pytest.mark.parametrize("empty", ["", "NaN", "  ", "null", None])
def test_empty_and_nan_labels_are_named_by_row(empty):
    with pytest.raises(ValueError, match=r"'kind' .*in 1 row\(s\): \[4\]"):
        read_labels(rows(kind=["a", "b", empty]), ["kind"])


@pytest.mark.parametrize(
    ("task", "values", "text"),
    [
        ("regression", ["1", "two"], r"finite numbers. Received: .*: \[3\]"),
        ("regression", ["1", "inf"], r"finite numbers. Received: .*: \[3\]"),
        ("multi_label", ["1", "2"], r"0 or 1 .*Received: .*: \[3\]"),
        ("classification", ["a", "a"], r"Received: only \['a'\]"),
        ("ranking", ["1", "2"], "Received: task='ranking'"),
    ],
)
def test_labels_that_do_not_fit_the_task_are_refused(task, values, text):
    with pytest.raises(ValueError, match=text):
        read_labels(rows(y=values), ["y"], task)


def test_classification_takes_one_column():
    with pytest.raises(ValueError, match=r"Received: label_columns=\['a', 'b'\]"):
        read_labels(rows(a=["0"], b=["1"]), ["a", "b"], "classification")
    with pytest.raises(ValueError, match=r"Received: label_columns=\[\]"):
        read_labels(rows(a=["0"]), [])
