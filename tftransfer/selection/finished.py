"""Finished folds in a folder, so that an interrupted run goes on where it was."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from tftransfer.writing import check_may_write, replace_when_whole

SETTINGS = "settings.json"


class FinishedFolds:
    """Folds kept in a folder: one `.json` of figures, one `.npy` of predictions each.

    Args:
        directory: Folder, new or made by an earlier run with equal settings; None
            keeps nothing.
        settings: Dictionary of plain values that tells these folds from others.

    Raises:
        ValueError: If the folder holds folds of something else, or other files.
    """

    def __init__(self, directory, settings):
        self._folder: Any = None if directory is None else Path(directory)
        if self._folder is None:
            return
        path = self._folder / SETTINGS
        check_may_write(path, overwrite=True)
        if not path.exists():
            self._check_empty()
            _write_json(path, settings)
            return
        found = json.loads(path.read_text(encoding="utf-8"))
        differing = [
            f"{name} was {found.get(name)!r}, is {settings.get(name)!r}"
            for name in sorted(found.keys() | settings.keys())
            if found.get(name) != settings.get(name)
        ]
        if differing:
            raise ValueError(
                "`directory` must be new or hold folds of the same data and settings. "
                f"Received: directory={str(directory)!r}, where "
                f"{'; '.join(differing)}. Choose another directory, or delete this one."
            )

    def load(self, seed, fold, num_rows):
        """Return `(score, probabilities)` of a fold, or None where it is not there."""
        if self._folder is None:
            return None
        scores, predictions = self._paths(seed, fold)
        try:
            score = json.loads(scores.read_text(encoding="utf-8"))
            probabilities = np.load(predictions, allow_pickle=False)
        except (OSError, ValueError):
            return None
        return (score, probabilities) if len(probabilities) == num_rows else None

    def save(self, seed, fold, score, probabilities):
        """Keep a fold; the figures are written last and mark it as whole."""
        if self._folder is None:
            return
        scores, predictions = self._paths(seed, fold)
        with replace_when_whole(predictions, overwrite=True) as partial:
            np.save(partial, probabilities)
        _write_json(scores, score)

    def _paths(self, seed, fold):
        stem = f"seed-{seed}-fold-{fold}"
        return self._folder / f"{stem}.json", self._folder / f"{stem}.npy"

    def _check_empty(self):
        others = sorted(path.name for path in self._folder.glob("[!.]*"))
        if others:
            raise ValueError(
                "`directory` must be new, empty, or of an earlier run. Received: "
                f"directory={str(self._folder)!r}, which holds {others[:3]}. Choose "
                "another directory."
            )


def _write_json(path, value):
    text = json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False)
    with replace_when_whole(path, overwrite=True) as partial:
        partial.write_text(text + "\n", encoding="utf-8")
