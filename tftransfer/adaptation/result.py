"""What adapting features returns: a model, a verdict, and what they rest on."""

import dataclasses
import textwrap
from collections.abc import Callable

import numpy as np

from tftransfer.adaptation.asked import ask, decide_by_labels
from tftransfer.adaptation.checks import read_features
from tftransfer.adaptation.domain_figure import Projection, draw_domains
from tftransfer.adaptation.linear_student import fit_linear_student
from tftransfer.adaptation.oracle import evaluate_candidates
from tftransfer.adaptation.summary import summarize
from tftransfer.adaptation.table import WIDTH, CandidateTable
from tftransfer.methods.propagation import Neighborhood


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
        choice: Name of the candidate that `"chosen"` is.
        compared: Tuple of names: the candidates that asked labels decide between.
        source_counts: Whole numbers `(num_classes,)`: source rows of each class.
        data_key: `str` that tells these target rows from others.
        neighborhood: `Neighborhood` of the target rows in their own units.
        asked: Dict from target row to label: all labels that were given.
        labels_needed: Estimate of how many labels more would settle it; 0 where they
            do, `None` before any was given.
        before: `AdaptationResult` without labels that this one came from, or `None`.
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
    choice: str
    compared: tuple
    source_counts: np.ndarray
    data_key: str
    neighborhood: Neighborhood
    asked: dict = dataclasses.field(default_factory=dict)
    labels_needed: int | None = None
    before: "AdaptationResult | None" = None

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

    def ask(
        self,
        count=20,
        output="to_label.csv",
        *,
        inputs=None,
        already=(),
        seed=0,
        overwrite=False,
    ):
        """Ask for the labels of a few target rows, those that tell candidates apart.

        Draws rows uniformly where at least one candidate differs from the control, and
        writes a CSV file with room for their labels and, beside it, an HTML page that
        fills it in any browser. Where nobody differs there is nothing to ask: that is
        said, and nothing is written.

        Args:
            count: Number of rows wanted.
            output: Path of the CSV file, or `None` to write nothing.
            inputs: What the target rows are, in their order, to be shown: images as an
                array, texts, paths of image files, dictionaries, or a batched
                `tf.data.Dataset`; without them the page shows each row's number and
                what each candidate calls it.
            already: Rows not to be drawn, beside those of `asked`.
            seed: Whole number >= 0. Same seed, same rows.
            overwrite: Whether files there may be replaced.

        Returns:
            `Question`, whose `rows` are in the order drawn: hand labels on in it.

        Raises:
            TypeError: If a number has the wrong type, or `inputs` cannot be shown.
            ValueError: If `count` is below 1, a row does not exist, a file exists
                already, or `inputs` are not the target rows.
        """
        return ask(
            self,
            count,
            output,
            inputs=inputs,
            already=already,
            seed=seed,
            overwrite=overwrite,
        )

    def decide(self, labels, *, rows=None):
        """Decide anew by a few labels of target rows, the only ones ever read.

        The candidate is taken that the labels prove, by betting on each as they come:
        see `tftransfer.asking.deciding.decide`. Where they prove none, it is what was
        chosen without them unless they speak against it, and the control where that
        was kept because no shift was found or the source model is too poor.

        The rows asked get their given labels. What these say against the calls is also
        spread to the rows beside them, where that calls more of the asked rows right,
        each left out in turn: see `tftransfer.adaptation.spreading.spread_labels`.
        Nothing else learns from them.

        Args:
            labels: Dictionary from row to label, in the order of `ask`; or the path of
                the CSV file that `ask` wrote, filled. Labels given before count on.
            rows: Of a file: rows that were asked, in the order drawn, where the file
                may have been sorted by something else.

        Returns:
            `AdaptationResult`, with wins and losses in `table`, and `labels_needed`.

        Raises:
            TypeError: If `labels` is neither.
            ValueError: If a row does not exist, a label is no class of the source, or
                the file was edited in what is not a label.
        """
        return decide_by_labels(self, labels, rows)

    def linear_layer(self, rows):
        """Return one linear layer that says what `model` says, for export elsewhere.

        Read off exactly where the model is linear, as the control is, else distilled
        on the target rows.

        Args:
            rows: The target rows, dense, `(m, width)`.

        Returns:
            Kernel `(width, num_classes)`, bias `(num_classes,)`, and the share of rows
            whose class is that of the candidate chosen: what the distilling costs.

        Raises:
            ValueError: If the rows are sparse.
        """
        rows = read_features("rows", rows)
        if hasattr(rows, "tocsr"):
            raise ValueError(
                "`rows` must be dense. Received: a sparse matrix of shape "
                f"{rows.shape}. Pickle `model`, which takes sparse rows."
            )
        found = self.candidates[self.choice]
        return fit_linear_student(self.model.predict_proba, rows, found)

    def to_dict(self):
        """Return what this says as plain JSON values, without arrays and models."""
        return summarize(self)

    def evaluate(self, labels):
        """Return accuracies of all candidates, for those who have the labels.

        An oracle: nothing in this result changes, and nothing here was chosen by it.
        Rows asked count as they were answered in `"chosen"`, and as they were called
        in the candidate of that name.

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
        lines = [self.verdict, *(f"- {reason}" for reason in self.reasons)]
        for name, estimate in self.estimated_accuracy.items():
            lines.append(f"estimated target accuracy, {name}: {estimate}")
        if self.labels_needed is not None:
            lines.append(f"labels given: {len(self.asked)}")
        lines += [f"note: {note}" for note in self.notes]
        wrapped = [textwrap.fill(each, WIDTH, subsequent_indent="  ") for each in lines]
        return "\n".join([*wrapped, "", str(self.table)])
