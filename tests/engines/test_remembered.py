import json

import pytest

from tftransfer.engines import remembered
from tftransfer.engines.remembered import (
    FILE,
    MOST_TRIALS,
    describe_processor,
    identify_trial,
    recall_trial,
    remember_trial,
)

PARTS = dict(
    key="abc",
    shapes=((224, 224, 3),),
    dtypes=["<f4"],
    dtype="float32",
    backend="tensorflow, CPU",
)


def test_a_trial_is_recalled(tmp_path):
    assert recall_trial("name", tmp_path) is None
    remember_trial("name", {"engines": []}, tmp_path)
    remember_trial("other", {"engines": [1]}, tmp_path)
    assert recall_trial("name", tmp_path) == {"engines": []}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"name": 3}', "\x00"])
def test_a_damaged_file_counts_as_empty(tmp_path, text):
    remember_trial("first", {}, tmp_path)
    (tmp_path / FILE).write_text(text)
    assert recall_trial("name", tmp_path) is None
    remember_trial("name", {"engines": []}, tmp_path)
    assert recall_trial("name", tmp_path) == {"engines": []}


def test_the_oldest_are_dropped(tmp_path):
    trials = {str(number): {} for number in range(MOST_TRIALS)}
    remember_trial("0", {}, tmp_path)
    (tmp_path / FILE).write_text(json.dumps(trials))
    remember_trial("new", {}, tmp_path)
    assert recall_trial("0", tmp_path) is None
    assert recall_trial("1", tmp_path) == {}
    assert recall_trial("new", tmp_path) == {}


def test_nothing_is_kept_where_nothing_can_be_written(tmp_path, monkeypatch):
    def refuse(path, overwrite):
        raise ValueError("Received: a folder that is not writable.")

    monkeypatch.setattr(remembered, "replace_when_whole", refuse)
    remember_trial("name", {}, tmp_path)
    assert recall_trial("name", tmp_path) is None


@pytest.mark.parametrize("part", list(PARTS))
def test_each_part_makes_another_trial(part):
    other = {**PARTS, part: "different"}
    assert identify_trial(**PARTS) == identify_trial(**PARTS)
    assert identify_trial(**other) != identify_trial(**PARTS)


@pytest.mark.parametrize(
    "name", ["describe_processor", "count_cores", "_list_versions"]
)
def test_another_machine_or_version_makes_another_trial(monkeypatch, name):
    before = identify_trial(**PARTS)
    monkeypatch.setattr(remembered, name, lambda: "another")
    assert identify_trial(**PARTS) != before


def test_the_processor_is_described():
    assert describe_processor().strip()
