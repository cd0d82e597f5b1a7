"""Rows to learn from and rows to choose by, drawn once for all trials."""

import dataclasses
import functools

import numpy as np
import tensorflow as tf

from tftransfer.data.augmentation import augment_image
from tftransfer.ranking.explained import explained_variance
from tftransfer.ranking.scoring import draw_rows
from tftransfer.selection.folds import set_aside
from tftransfer.selection.reading import read_rows
from tftransfer.selection.rows import Rows
from tftransfer.tasks import Task, build_loss

_METRICS = {"classification": "accuracy", "regression": "R2"}


@dataclasses.dataclass(eq=False)
class Problem:
    """Labeled rows, apart in those learned from and those judged on.

    Attributes:
        rows: `Rows`.
        kept: Int array, rows to learn from, sorted.
        aside: Int array, rows to judge on, sorted.
        task: `Task`.
        augment: Names out of `AUGMENTATIONS`.
        seed: Whole number >= 0.
    """

    rows: Rows
    kept: np.ndarray
    aside: np.ndarray
    task: Task
    augment: tuple
    seed: int

    @property
    def metric(self):
        """Name of the score, of which more is better."""
        return _METRICS[self.task.name]

    @property
    def num_rows(self):
        """Rows to learn from and to judge on."""
        return len(self.kept) + len(self.aside)

    @property
    def num_batches(self):
        """Batches in an epoch."""
        return -(-len(self.kept) // self.rows.batch_size)

    @property
    def image_size(self):
        """`(height, width)` of the rows, or `None` where they are no images."""
        shape = self.plain.element_spec[0].shape
        return tuple(shape[1:3]) if shape.rank == 4 else None

    @property
    def plain(self):
        """Rows to learn from, in their own order."""
        return self.rows.fixed_part(self.kept)

    @property
    def validation(self):
        """Rows to judge on."""
        return self.rows.fixed_part(self.aside)

    @functools.cached_property
    def truth(self):
        """Labels of the rows to judge on."""
        return np.asarray(self.rows.labels)[self.aside]

    def training(self, seed):
        """Return rows to learn from, shuffled anew in each epoch, and augmented."""
        data = self.rows.training_part(self.kept, seed)
        if not self.augment:
            return data

        def change(images, *rest):
            seeds = tf.random.uniform([tf.shape(images)[0], 2], maxval=2**31 - 1)
            seeds = tf.cast(seeds, tf.int32)

            def one(pair):
                return augment_image(pair[0], pair[1], self.augment)

            spec = tf.TensorSpec(images.shape[1:], images.dtype)
            changed = tf.map_fn(one, (images, seeds), fn_output_signature=spec)
            return (changed, *rest)

        return data.map(change, tf.data.AUTOTUNE)

    def limit(self, most):
        """Learn from no more than so many rows, drawn evenly over the classes."""
        if most < len(self.kept):
            labels = np.asarray(self.rows.labels)[self.kept]
            self.kept = np.sort(self.kept[draw_rows(labels, most, self.seed)])

    def score(self, predicted):
        """Judge probabilities or values of the rows set aside."""
        if self.task.name == "regression":
            truth = self.truth.reshape(len(self.truth), -1)
            return explained_variance(truth, np.asarray(predicted, "float64"))
        return float((np.argmax(predicted, axis=-1) == self.truth).mean())

    def loss(self, outputs):
        """Return the mean loss of outputs for the rows set aside."""
        return float(build_loss(self.task)(self.truth, outputs))


def read_problem(data, task, augment, validation_fraction, seed):
    """Read rows and set some aside.

    Args:
        data: See `auto_transfer`.
        task: `"classification"` or `"regression"`.
        augment: Names out of `AUGMENTATIONS`.
        validation_fraction: Share of the rows to judge on.
        seed: Whole number >= 0.

    Returns:
        `Problem`.

    Raises:
        TypeError: If `data` is nothing to read rows from.
        ValueError: If labels do not fit the task, or there are too few rows.
    """
    rows = read_rows(data)
    labels = np.asarray(rows.labels)
    kind = _read_task(labels, task, rows.class_names)
    aside = set_aside(labels, validation_fraction, task=task, seed=seed)
    if aside.sum() < 2 or (~aside).sum() < 2:
        raise ValueError(
            "`data` must hold enough rows to learn from and to choose by. Received: "
            f"{len(rows)} rows with validation_fraction={validation_fraction}. "
            "Label more rows."
        )
    kept = np.flatnonzero(~aside)
    return Problem(rows, kept, np.flatnonzero(aside), kind, augment, seed)


def _read_task(labels, task, class_names):
    if task == "regression":
        fits = labels.dtype.kind in "uif" and labels.ndim in (1, 2)
        width = 1 if labels.ndim == 1 else labels.shape[-1]
        wanted = "numbers (rows,) or (rows, values)"
    else:
        fits = labels.dtype.kind in "ui" and labels.ndim == 1 and labels.min() >= 0
        width = max(len(class_names or []), int(labels.max()) + 1) if fits else 0
        wanted = "class numbers (rows,) from 0 on, of two classes or more"
        fits = fits and len(np.unique(labels)) > 1
    if not fits:
        raise ValueError(
            f"Labels for task={task!r} must be {wanted}. Received: labels of shape "
            f"{labels.shape}, dtype {labels.dtype}. Pass another task, or map them."
        )
    return Task(task, width)
