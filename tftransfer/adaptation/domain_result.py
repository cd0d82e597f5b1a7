"""What adapting to a domain returns: a Keras model, and the decision behind it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import keras

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
    """

    model: keras.Model
    features: AdaptationResult
    agreement: float
    networks: dict
    target: object
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
            labels: As of `AdaptationResult.decide`.
            rows: As of `AdaptationResult.decide`.

        Returns:
            `DomainAdaptation`, with a model of its own.
        """
        return self._assemble(self.features.decide(labels, rows=rows))

    def evaluate(self, labels):
        """Return accuracies of all candidates, for those who have the labels.

        An oracle: see `AdaptationResult.evaluate`.
        """
        return self.features.evaluate(labels)

    def __str__(self):
        return f"{self.features}\nmodel agrees on {self.agreement:.1%} of the target"
