"""An evaluation as values and as a file."""

import json

import numpy as np
import pytest

from tftransfer.evaluation.predictions import evaluate_predictions


@pytest.fixture
def found():
    return evaluate_predictions([0, 1, 1], [0.2, 0.9, 0.4], class_names=["höl", "b"])


def test_saved_json_equals_the_dictionary(found, tmp_path):
    path = tmp_path / "new" / "figures.json"
    found.save(path)
    assert json.loads(path.read_text(encoding="utf-8")) == found.to_dict()
    assert [entry.name for entry in path.parent.iterdir()] == ["figures.json"]


def test_the_dictionary_holds_plain_values_and_no_rows(found):
    values = found.to_dict()
    assert set(values) == {
        "task",
        "num_rows",
        "class_names",
        "metrics",
        "intervals",
        "notes",
        "per_class",
        "confusion",
    }
    assert values["confusion"] == [[1, 0], [1, 1]]
    assert type(values["confusion"][0][0]) is int


def test_undefined_figures_are_null_in_json(tmp_path):
    evaluate_predictions([1, 1], [0.9, 0.8]).save(tmp_path / "one.json")
    values = json.loads((tmp_path / "one.json").read_text())
    assert values["metrics"]["roc_auc"] is None
    assert values["per_class"][0]["recall"] is None


def test_an_old_file_stays_when_writing_fails(found, tmp_path, monkeypatch):
    path = tmp_path / "figures.json"
    path.write_text("old")
    monkeypatch.setattr("pathlib.Path.write_text", fail)
    with pytest.raises(OSError, match="No space left"):
        found.save(path)
    monkeypatch.undo()
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["figures.json"]


def fail(*args, **kwargs):
    raise OSError(28, "No space left on device")


def test_rows_stay_with_the_evaluation(found):
    assert found.labels.tolist() == [0, 1, 1]
    np.testing.assert_allclose(found.probabilities[:, 1], [0.2, 0.9, 0.4])


def test_the_repr_is_short_enough_for_a_prompt(found):
    assert "probabilities" not in repr(found)
