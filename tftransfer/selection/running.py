"""One fold: a new model, trained on all rows but those held out, measured on those."""

import contextlib
import dataclasses
import time
from typing import Any

import numpy as np
import tensorflow as tf

from tftransfer.evaluation.evaluate import evaluate
from tftransfer.evaluation.table import TITLES, show_figure
from tftransfer.selection.folds import assign_folds, check_training_parts, set_aside
from tftransfer.selection.memory import memory_given_back


@dataclasses.dataclass(frozen=True)
class Plan:
    """What all folds of a cross-validation share.

    Attributes:
        rows: `Rows`.
        labels: Array of the labels in the form of `evaluation.arrays.read_labels`.
        task: Name of the task.
        class_names: Tuple of str.
        models: `FreshModels`.
        train: Function `(model, dataset, validation_data=...)`.
        num_folds: Whole number.
        groups: Array `(n,)` or None.
        validation_fraction: Share of each training part.
        finished: `FinishedFolds`.
        report: Function of a line of text, or None.
    """

    rows: Any
    labels: np.ndarray
    task: str
    class_names: tuple
    models: Any
    train: Any
    num_folds: int
    groups: np.ndarray | None
    validation_fraction: float
    finished: Any
    report: Any

    def run_seed(self, seed):
        """Run all folds of one seed.

        Returns:
            List of scores, array of probabilities `(n, num_classes)`, array of folds
            `(n,)`.
        """
        folds = assign_folds(
            self.labels, self.num_folds, task=self.task, seed=seed, groups=self.groups
        )
        check_training_parts(self.labels, folds, self.task, self.class_names)
        scores = []
        probabilities = np.empty((len(self.labels), len(self.class_names)))
        for fold in range(self.num_folds):
            held_out = np.flatnonzero(folds == fold)
            found = self.finished.load(seed, fold, len(held_out))
            is_kept = found is not None
            if not is_kept:
                with memory_given_back(), retracing_expected():
                    found = self._run_fold(seed, fold, folds)
                self.finished.save(seed, fold, *found)
            score, probabilities[held_out] = found
            scores.append(score)
            self._tell(score, is_kept)
        return scores, probabilities, folds

    def _run_fold(self, seed, fold, folds):
        started = time.perf_counter()
        training, validation = self._split(np.flatnonzero(folds != fold), (seed, fold))
        held_out = self.rows.fixed_part(np.flatnonzero(folds == fold), weighted=False)
        model = self.models.build(seed)
        self.train(
            model,
            self.rows.training_part(training, seed),
            validation_data=self.rows.fixed_part(validation)
            if len(validation)
            else None,
        )
        self.models.remember(model)
        found = evaluate(model, held_out, class_names=self.class_names, task=self.task)
        score = {
            "seed": seed,
            "fold": fold,
            "num_rows": found.num_rows,
            "seconds": round(time.perf_counter() - started, 3),
            "metrics": found.metrics,
        }
        return score, found.probabilities

    def _split(self, training, seed):
        aside = set_aside(
            self.labels[training],
            self.validation_fraction,
            task=self.task,
            seed=seed,
            groups=None if self.groups is None else self.groups[training],
        )
        return training[~aside], training[aside]

    def _tell(self, score, is_kept):
        if self.report is None:
            return
        name, value = next(iter(score["metrics"].items()))
        self.report(
            f"seed {score['seed']}, fold {score['fold']}: {TITLES[name]} "
            f"{show_figure(value)}, {score['num_rows']} rows, {score['seconds']:.1f} s"
            f"{', kept from an earlier run' if is_kept else ''}"
        )


@contextlib.contextmanager
def retracing_expected():
    """Hold back the warning that equal code is traced often: each model is new."""
    logger = tf.get_logger()
    logger.addFilter(_is_other)
    try:
        yield
    finally:
        logger.removeFilter(_is_other)


def _is_other(record):
    return "triggered tf.function retracing" not in record.getMessage()
