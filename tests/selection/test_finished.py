"""Folds kept in a folder."""

import json

import numpy as np
import pytest

from tftransfer.selection.finished import FinishedFolds

SETTINGS = {"data": "abc", "folds": 3}
SCORE = {"seed": 0, "fold": 1, "metrics": {"accuracy": 0.5, "roc_auc": None}}


@pytest.fixture
def kept(tmp_path):
    finished = FinishedFolds(tmp_path / "new" / "run", SETTINGS)
    finished.save(0, 1, SCORE, np.eye(2))
    return tmp_path / "new" / "run"


def test_what_was_saved_is_loaded(kept):
    score, probabilities = FinishedFolds(kept, SETTINGS).load(0, 1, 2)
    assert score == SCORE
    np.testing.assert_array_equal(probabilities, np.eye(2))
    names = {path.name for path in kept.iterdir()}
    assert names == {"settings.json", "seed-0-fold-1.json", "seed-0-fold-1.npy"}


def test_folds_that_are_missing_or_broken_are_run_again(kept):
    finished = FinishedFolds(kept, SETTINGS)
    assert finished.load(0, 0, 2) is None
    assert finished.load(1, 1, 2) is None
    assert finished.load(0, 1, 3) is None
    (kept / "seed-0-fold-1.json").write_text('{"seed"')
    assert finished.load(0, 1, 2) is None


def test_a_fold_interrupted_while_it_is_saved_does_not_count(kept, monkeypatch):
    finished = FinishedFolds(kept, SETTINGS)
    monkeypatch.setattr("json.dumps", fail)
    with pytest.raises(OSError, match="No space left"):
        finished.save(0, 2, SCORE, np.eye(2))
    monkeypatch.undo()
    assert finished.load(0, 2, 2) is None
    assert not [path for path in kept.iterdir() if "partial" in path.name]


def fail(*args, **kwargs):
    raise OSError(28, "No space left on device")


def test_other_settings_are_refused_and_named(kept):
    with pytest.raises(
        ValueError, match="Received: directory=.*data was 'abc', is 'xyz'; folds was 3"
    ):
        FinishedFolds(kept, {"data": "xyz", "folds": 4})
    assert json.loads((kept / "settings.json").read_text()) == SETTINGS


def test_a_folder_with_other_files_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(ValueError, match=r"Received: .*holds \['thesis.tex'\]"):
        FinishedFolds(tmp_path, SETTINGS)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_what_an_interrupted_start_left_is_no_hindrance(tmp_path):
    (tmp_path / ".partial-1234-settings.json").write_text("")
    assert FinishedFolds(tmp_path, SETTINGS).load(0, 0, 1) is None


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(ValueError, match="Received: path=.*is a file"):
        FinishedFolds(tmp_path / "run", SETTINGS)


def test_without_a_folder_nothing_is_kept():
    finished = FinishedFolds(None, SETTINGS)
    finished.save(0, 0, SCORE, np.eye(2))
    assert finished.load(0, 0, 2) is None
