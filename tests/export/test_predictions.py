import json

import numpy as np
import pytest

from tftransfer.export.predictions import Prediction, Predictions, build_predictions

NAMES = ["cat", "dog", "owl"]
PROBABILITIES = np.array([[0.1, 0.75, 0.15], [0.5, 0.25, 0.25]], "float32")


@pytest.fixture
def table():
    return build_predictions(["a.jpg", "folder/b.jpg"], PROBABILITIES, "x", NAMES)


def test_row_names_the_most_probable_class(table):
    assert table[0] == Prediction(
        source="a.jpg",
        label="dog",
        probability=0.75,
        probabilities=dict(zip(NAMES, PROBABILITIES[0].tolist(), strict=True)),
    )
    assert table.labels == ["dog", "cat"]


def test_table_is_a_sequence(table):
    assert len(table) == 2
    assert [row.source for row in table] == ["a.jpg", "folder/b.jpg"]
    assert table[-1].source == "folder/b.jpg"
    assert isinstance(table[:1], Predictions) and len(table[:1]) == 1
    np.testing.assert_array_equal(table.to_array(), PROBABILITIES)


def test_printed_table_is_aligned(table):
    assert str(table).splitlines() == [
        "source        label  probability",
        "a.jpg         dog         0.7500",
        "folder/b.jpg  cat         0.5000",
    ]


def test_several_labels_are_listed_with_half_and_more():
    rows = np.array([[0.5, 0.9, 0.1], [0.2, 0.3, 0.1]])
    table = build_predictions(range(2), rows, "multi_label", NAMES)
    assert table[0].labels == ("cat", "dog") and table[1].labels == ()
    assert table[0].label == "dog"
    assert str(table).splitlines() == [
        "source  label  labels    probability",
        "0       dog    cat, dog       0.9000",
        "1       dog    -              0.3000",
    ]


def test_regression_shows_values_only():
    table = build_predictions([0], np.array([[1.5, -2e7]]), "regression", ["w", "h"])
    assert table[0].values == {"w": 1.5, "h": -2e7}
    assert table[0].label is None and table[0].probabilities is None
    assert str(table).splitlines() == ["source    w       h", "0       1.5  -2e+07"]
    np.testing.assert_array_equal(table.to_array(), np.array([[1.5, -2e7]], "float32"))


def test_json_holds_what_applies(table):
    rows = json.loads(table.to_json())
    assert rows[0]["label"] == "dog" and rows[0]["probabilities"]["dog"] == 0.75
    assert "values" not in rows[0] and "labels" not in rows[0]
    regression = build_predictions([0], np.array([[2.0]]), "regression", ["w"])
    assert json.loads(regression.to_json()) == [{"source": 0, "values": {"w": 2.0}}]


def test_empty_table_prints():
    assert str(Predictions([])) == "no predictions"
    assert json.loads(Predictions([]).to_json()) == []
    assert Predictions([]).to_array().shape[0] == 0
