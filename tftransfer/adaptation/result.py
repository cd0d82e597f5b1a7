"""What adapting features returns: a model, a verdict, and what they rest on."""

import dataclasses
from collections.abc import Callable

import numpy as np

from tftransfer.adaptation.checks import read_features
from tftransfer.adaptation.domain_figure import Projection, draw_domains
from tftransfer.adaptation.oracle import evaluate_candidates
from tftransfer.adaptation.table import CandidateTable


@dataclasses.dataclass(frozen=True)
class FeatureModel:
    """A fitted model of features in the style of scikit-learn; can be pickled.

    Attributes:
        classes_: Array `(num_classes,)`: the labels in the order of the columns.
        n_features_in_: Width of the features.
        reduction: Function from raw rows to those the model reads.
        probabilities_of: Function from these to probabilities.
    """

    classes_: np.ndarray
    n_features_in_: int
    reduction: Callable
    probabilities_of: Callable

    def predict_proba(self, rows):
        """Return probabilities `(k, num_classes)` of raw rows `(k, width)`.

        Args:
            rows: Array-like or SciPy sparse.

        Raises:
            TypeError: If the entries are no numbers.
            ValueError: If the width is another, or entries are NaN or infinite.
        """
        rows = read_features("rows", rows)
        if rows.shape[1] != self.n_features_in_:
            raise ValueError(
                f"`rows` must have shape (rows, {self.n_features_in_}). Received: "
                f"rows.shape={rows.shape}. Compute them as those adapted with."
            )
        return self.probabilities_of(self.reduction(rows))

    def predict(self, rows):
        """Return labels `(k,)` of raw rows `(k, width)`, as `predict_proba`."""
        return self.classes_[self.predict_proba(rows).argmax(axis=1)]


@dataclasses.dataclass(frozen=True)
class AdaptationResult:
    """Whether to adapt, and the model that follows from it.

    Attributes:
        model: `FeatureModel` for rows of the target domain, chosen by the verdict.
        verdict: `"adapted"`, `"adapted in part"` or `"kept source-only"`.
        reasons: List of str, in plain words and with the figures.
        table: `CandidateTable`: every candidate with every score.
        estimated_accuracy: Dict with `Estimate` for `"control"` and `"chosen"`.
        control: `FeatureModel` that learned from the source only.
        classes: Array `(num_classes,)` of labels.
        candidates: Dict from name to float array `(m, num_classes)`: what each
            candidate says of the target rows, `"control"` and `"chosen"` among them.
        models: Dict from name to `FeatureModel`, the same names.
        notes: List of str: what was left out, reduced, or looks odd.
        scores: Dict of the figures that decided: `"auc"`, `"competence"`, `"vote"`.
        projection: `Projection` of both domains on two dimensions, for the figure.
    """

    model: FeatureModel
    verdict: str
    reasons: list
    table: CandidateTable
    estimated_accuracy: dict
    control: FeatureModel
    classes: np.ndarray
    candidates: dict
    models: dict
    notes: list
    scores: dict
    projection: Projection

    @property
    def labels(self):
        """Chosen labels of the given target rows, `(m,)`."""
        return self.predict()

    def predict(self, rows=None):
        """Return labels of the given target rows, or of further ones.

        Args:
            rows: Further rows `(k, width)` of the target domain.

        Returns:
            Array of labels.
        """
        return self.classes[self.predict_proba(rows).argmax(axis=1)]

    def predict_proba(self, rows=None):
        """Return probabilities of the given target rows, or of further ones.

        For the given rows these are what the candidates found for all of them together;
        for others, what `model` says row by row. Both are the same but for label
        propagation, which knows a further row only by its neighbors among the given.

        Args:
            rows: Further rows `(k, width)` of the target domain.

        Returns:
            Float array `(m or k, num_classes)`.
        """
        if rows is None:
            return self.candidates["chosen"]
        return self.model.predict_proba(rows)

    def evaluate(self, labels):
        """Return accuracies of all candidates, for those who have the labels.

        An oracle: nothing in this result changes, and nothing here was chosen by it.

        Args:
            labels: Labels `(m,)` of the target rows, in their order.

        Returns:
            `OracleEvaluation`, a dict from candidate to accuracy that prints as a
            table.

        Raises:
            ValueError: If the labels differ in number from the target rows or are
                no classes of the source.
        """
        return evaluate_candidates(self.candidates, self.classes, labels)

    def figure(self):
        """Draw both domains in two dimensions, before and after, and changed calls.

        Returns:
            `matplotlib.figure.Figure`.

        Raises:
            ImportError: If matplotlib is missing.
        """
        chosen, before = (
            self.candidates[name].argmax(axis=1) for name in ("chosen", "control")
        )
        return draw_domains(self.projection, chosen, before, self.classes)

    def __str__(self):
        lines = [f"{self.verdict}: {'; '.join(self.reasons)}"]
        for name, estimate in self.estimated_accuracy.items():
            lines.append(f"estimated target accuracy, {name}: {estimate}")
        lines += [f"note: {note}" for note in self.notes]
        return "\n".join([*lines, "", str(self.table)])
