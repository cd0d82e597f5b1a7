"""Which target rows to ask labels for: those that tell the candidates apart."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tftransfer.checks import check_whole_number


@dataclasses.dataclass(frozen=True)
class Question:
    """Rows to be labeled.

    Attributes:
        rows: Whole numbers `(count,)`, places in the target, in the order in which
            they were drawn; hand the labels on in this order.
        num_disagreeing: Rows in which at least one candidate differs from the control.
        num_left: Those of them that had not been asked before this question.
        csv: `pathlib.Path` of the file to be filled, where one was written.
        page: `pathlib.Path` of the page to fill it with, where one was written.
    """

    rows: np.ndarray
    num_disagreeing: int
    num_left: int
    csv: Path | None = None
    page: Path | None = None

    def __str__(self):
        if not self.num_disagreeing:
            return "nothing to ask: in no row does a candidate differ from the control"
        where = f"{self.num_disagreeing} rows in which a candidate differs from the"
        if not len(self.rows):
            return f"nothing to ask: all {where} control have been asked"
        written = f": written to {self.csv} and {self.page}" if self.csv else ""
        return f"{len(self.rows)} of the {where} control{written}"


def choose_rows(
    control_labels, candidate_labels, count, *, already: Sequence[int] = (), seed=0
):
    """Draw rows uniformly where at least one candidate differs from the control.

    A label elsewhere says nothing about who is better. A row drawn so is also drawn
    uniformly from the rows where one certain candidate differs, so each label
    informs every candidate, and candidates may be left out of a later question.

    Args:
        control_labels: Array `(m,)`: what the control says of each target row.
        candidate_labels: Dictionary from name to array `(m,)`.
        count: Number of rows wanted; where fewer are left, all of them come.
        already: Rows that have been asked before and are not drawn again.
        seed: Whole number >= 0. The same seed gives the same rows.

    Returns:
        `Question`.

    Raises:
        TypeError: If `count` or `seed` is no whole number.
        ValueError: If `count` is below 1, the labels differ in number, there is no
            candidate, or `already` names a row that does not exist.

    Example:

    >>> control = np.array([0, 0, 0, 0, 0])
    >>> candidates = {"a": np.array([0, 1, 0, 0, 0]), "b": np.array([0, 1, 1, 0, 2])}
    >>> question = choose_rows(control, candidates, 20, already=[4])
    >>> sorted(question.rows.tolist()), question.num_disagreeing, question.num_left
    ([1, 2], 3, 2)

    Reference:
        Asking where models disagree to compare them: Sawade, Landwehr & Scheffer,
        Active comparison of prediction models, 2012.
    """
    check_whole_number("count", count)
    check_whole_number("seed", seed, minimum=0)
    differs = any_disagreement(control_labels, candidate_labels)
    left = differs.copy()
    left[check_rows("already", already, len(differs))] = False
    places = np.flatnonzero(left)
    drawn = np.random.default_rng(seed).permutation(places)[:count]
    return Question(drawn, int(differs.sum()), len(places))


def any_disagreement(control_labels, candidate_labels):
    """Tell for each row whether at least one candidate differs from the control.

    Args:
        control_labels: Array `(m,)`.
        candidate_labels: Dictionary from name to array `(m,)`.

    Returns:
        Array of bool `(m,)`.

    Raises:
        ValueError: If the labels differ in number, or there is no candidate.
    """
    control = np.asarray(control_labels)
    if not candidate_labels:
        raise ValueError(
            "`candidate_labels` must hold the labels of at least one candidate. "
            f"Received: candidate_labels={candidate_labels!r}. "
            "Pass a dictionary from name to array."
        )
    shapes = {name: np.shape(labels) for name, labels in candidate_labels.items()}
    if control.ndim != 1 or set(shapes.values()) != {control.shape}:
        raise ValueError(
            "`control_labels` and `candidate_labels` must hold one label for each "
            f"target row. Received: control_labels.shape={control.shape}, "
            f"candidate_labels with shapes {shapes}. "
            "Take the arg max of probabilities first."
        )
    labels = list(candidate_labels.values())
    return np.any([np.asarray(each) != control for each in labels], axis=0)


def check_rows(name, rows, num_rows):
    """Return places in the target as whole numbers, or raise `ValueError`.

    Args:
        name: How the caller calls `rows`.
        rows: Places, in any order.
        num_rows: Number of target rows.
    """
    places = np.asarray(list(rows))
    is_whole = places.size == 0 or np.issubdtype(places.dtype, np.integer)
    wrong = list(rows) if not is_whole else places[(places < 0) | (places >= num_rows)]
    if len(wrong):
        raise ValueError(
            f"`{name}` must name target rows, whole numbers from 0 below {num_rows}. "
            f"Received: {name} with {list(wrong)[:3]!r}. "
            "Count the rows as they were given to `adapt_features`."
        )
    return places.astype(int)
