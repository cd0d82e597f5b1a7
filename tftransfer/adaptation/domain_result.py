"""What adapting to a domain returns: a Keras model, and the decision behind it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from tftransfer.adaptation.result import AdaptationResult


@dataclasses.dataclass(frozen=True)
class DomainAdaptation:
    """Whether to adapt, and a Keras model that does what was decided.

    Attributes:
        model: Compiled `keras.Model`, raw input to logits: train, evaluate and export
            it like any other. Its backbone is the given one, frozen, unless a network
            trained end to end was chosen: then it is that.
        features: `AdaptationResult` on the backbone's features: candidates, table,
            figure.
        agreement: Share of the target rows that `model` calls as `features` does; 1
            where the choice is linear itself or a network.
        networks: Dict from name to `keras.Model`: candidates trained end to end.
        target: The target's rows without labels, to be shown where labels are asked.
        class_names: List of `str` that name the classes in `features`, or `None` where
            the source did not tell them.
    """

    model: keras.Model
    features: AdaptationResult
    agreement: float
    networks: dict
    target: object
    class_names: list | None
    _assemble: Callable

    @property
    def verdict(self):
        """`"adapted"`, `"adapted in part"` or `"kept source-only"`."""
        return self.features.verdict

    @property
    def choice(self):
        """Name of the candidate that was chosen."""
        return self.features.choice

    @property
    def reasons(self):
        """List of str, in plain words and with the figures."""
        return self.features.reasons

    @property
    def notes(self):
        """List of str: what looks odd, and what was not tried for lack of time."""
        return self.features.notes

    @property
    def table(self):
        """`CandidateTable`: every candidate with every score."""
        return self.features.table

    @property
    def estimated_accuracy(self):
        """Dict with `Estimate` for `"control"` and `"chosen"`."""
        return self.features.estimated_accuracy

    def ask(self, count=20, output="to_label.csv", **options):
        """Ask for the labels of a few target rows, shown as what they are.

        As `AdaptationResult.ask`, with the target's images or texts on the page.

        Args:
            count: Number of rows wanted.
            output: Path of the CSV file, or `None` to write nothing.
            **options: Further arguments of `AdaptationResult.ask`.

        Returns:
            `Question`.
        """
        return self.features.ask(count, output, **{"inputs": self.target, **options})

    def decide(self, labels, *, rows=None):
        """Decide anew by a few labels of target rows, the only ones ever read.

        Args:
            labels: As of `AdaptationResult.decide`; where classes have names, whole
                numbers count them as the source's labels do.
            rows: As of `AdaptationResult.decide`.

        Returns:
            `DomainAdaptation`, with a model of its own.
        """
        if isinstance(labels, dict):
            names = self._name(list(labels.values()), self.class_names)
            labels = dict(zip(labels, names, strict=True))
        return self._assemble(self.features.decide(labels, rows=rows))

    def evaluate(self, labeled):
        """Return accuracies of all candidates, for those who have the labels.

        An oracle: see `AdaptationResult.evaluate`.

        Args:
            labeled: The target with its labels, a batched `tf.data.Dataset` of
                `(inputs, labels)` in the order of the rows adapted to (of our loaders,
                in any); or the labels alone, `(m,)`.

        Returns:
            `OracleEvaluation`.

        Raises:
            ValueError: If the dataset has no labels, or as `AdaptationResult.evaluate`.
        """
        names = self.class_names
        if isinstance(labeled, tf.data.Dataset):
            names = getattr(labeled, "class_names", None) or names
            labeled = _read_labels(vars(labeled).get("unshuffled") or labeled)
        return self.features.evaluate(self._name(labeled, names))

    def _name(self, labels, names):
        """Return the names of labels that are whole numbers, others as they are."""
        found = np.asarray(labels)
        if self.class_names is None or found.dtype.kind not in "iu":
            return labels
        if found.size and not 0 <= found.min() <= found.max() < len(names):
            raise ValueError(
                f"`labels` must be classes, whole numbers from 0 to {len(names) - 1}. "
                f"Received: labels from {found.min()} to {found.max()}. They count "
                f"{names}."
            )
        return [names[label] for label in found.tolist()]

    def __str__(self):
        return f"{self.features}\nmodel agrees on {self.agreement:.1%} of the target"


def _read_labels(dataset):
    spec = dataset.element_spec
    if not isinstance(spec, tuple) or len(spec) < 2:
        raise ValueError(
            "`labeled` must be a dataset of (inputs, labels), or labels. Received: "
            f"elements of {spec!r}. Without labels there is nothing to compare with."
        )
    return np.concatenate([batch[1].numpy() for batch in dataset])
