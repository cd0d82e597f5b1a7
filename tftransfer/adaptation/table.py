"""Candidates side by side, as rows and as text."""

import numpy as np

from tftransfer.adaptation.collapse import changed_share, signs_of_collapse
from tftransfer.columns import align_columns

_TITLES = {
    "name": "candidate",
    "changed": "calls changed",
    "confidence": "confidence",
    "entropy": "entropy",
    "vote": "vote",
    "warning": "",
}


class CandidateTable(list):
    """A list of dicts, one for each candidate, that prints in columns.

    Each has `"name"`, `"changed"` (share of calls that differ from the control),
    `"confidence"` (mean of the largest probability), `"entropy"` (mean, in nats),
    `"vote"` of the judge, `"warning"` (signs of collapse). None of them is trusted to
    choose by itself: over 3,635 cases they told gain from loss hardly better than a
    coin, the vote best (area under the curve .76).
    """

    def __str__(self):
        if not self:
            return "no candidates"
        names = list(self[0])
        rows = [[_TITLES.get(name, name) for name in names]]
        rows += [[_show(row[name]) for name in names] for row in self]
        numeric = [not isinstance(self[0][name], str) for name in names]
        return "\n".join(align_columns(rows, right=numeric))


def make_table(control, candidates, judge, classes):
    """Score every candidate without labels.

    Args:
        control: `Control`.
        candidates: Sequence of `Candidate`.
        judge: `Judge`.
        classes: Sequence of class names.

    Returns:
        `CandidateTable`, the control first.
    """
    rows, before = [], control.labels
    for candidate in (control, *candidates):
        probabilities = candidate.probabilities
        labels = probabilities.argmax(axis=1)
        logs = np.log(np.maximum(probabilities, 1e-12))
        rows.append(
            {
                "name": candidate.name,
                "changed": changed_share(before, labels),
                "confidence": float(probabilities.max(axis=1).mean()),
                "entropy": float(-np.sum(probabilities * logs, axis=1).mean()),
                "vote": judge.vote(before, labels),
                "warning": "; ".join(signs_of_collapse(before, labels, classes)),
            }
        )
    return CandidateTable(rows)


def _show(value):
    return f"{value:.3f}" if isinstance(value, float) else str(value)
