"""A cross-validation as values, as a file and as text."""

import json

import numpy as np
import pytest

from tftransfer.selection.intervals import corrected_interval


@pytest.fixture
def result(make_result):
    return make_result(
        [{"accuracy": 0.8, "roc_auc": 0.9}, {"accuracy": 0.6, "roc_auc": None}]
    )


def test_means_and_spreads_are_those_of_the_folds(result):
    assert result.metrics == pytest.approx({"accuracy": 0.7, "roc_auc": 0.9})
    spread = result.standard_deviations
    assert spread["accuracy"] == pytest.approx(np.std([0.8, 0.6], ddof=1))
    assert spread["roc_auc"] is None
    assert result.notes == {"roc_auc": "undefined in 1 of 2 folds"}
    assert list(result.intervals) == ["accuracy"]


def test_intervals_are_corrected_for_the_overlap_and_cut_to_what_can_be(make_result):
    scores = [0.91, 0.99, 0.95, 0.98]
    found = make_result([{"accuracy": x} for x in scores], num_rows=20)
    low, high = corrected_interval(scores, 5 / 15)
    assert high > 1
    assert found.intervals["accuracy"] == pytest.approx((low, 1.0))
    errors = make_result([{"mean_absolute_error": x} for x in (0.1, 9.0)], "regression")
    assert errors.intervals["mean_absolute_error"][0] == 0.0
    assert errors.intervals["mean_absolute_error"][1] > 9
    fits = make_result([{"r2": x} for x in (-3.0, 0.9)], "regression")
    assert fits.intervals["r2"][0] < -3 and fits.intervals["r2"][1] == 1.0


def test_saved_json_equals_the_dictionary(result, tmp_path):
    path = tmp_path / "new" / "figures.json"
    result.save(path)
    assert json.loads(path.read_text(encoding="utf-8")) == result.to_dict()
    assert [entry.name for entry in path.parent.iterdir()] == ["figures.json"]


def test_the_repr_is_short_enough_for_a_prompt(result):
    assert "probabilities" not in repr(result) and "seconds" not in repr(result)
