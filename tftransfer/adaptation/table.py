"""Candidates side by side, as rows and as text."""

import numpy as np

from tftransfer.adaptation.collapse import changed_share, signs_of_collapse
from tftransfer.columns import align_columns

WIDTH = 100  # of a printed line, at most
_TITLES = {
    "name": "candidate",
    "changed": "calls changed",
    "a_distance": "A-distance",
    "atc": "ATC",
    "mmd": "MMD",
    "wins": "right alone",
    "losses": "wrong alone",
    "error_bound": "error bound",
    "warning": "",
}
_SHOWN = ("name", "changed", "confidence", "entropy", "vote", "warning")
_SHOWN_WITH_LABELS = (
    *("name", "changed", "vote", "asked", "wins", "losses", "gain", "low", "high"),
)
_IN_POINTS = ("gain", "low", "high")


class CandidateTable(list):
    """A list of dicts, one for each candidate, that prints in columns.

    Each has `"name"`, `"changed"` (share of calls that differ from the control),
    `"confidence"` (mean of the largest probability), `"entropy"` (mean, in nats),
    `"vote"` of the judge, `"warning"` (signs of collapse), and what
    `label_free_scores` gives. None of them is trusted to choose by itself: over 3,635
    cases they told gain from loss hardly better than a coin, the vote best (area under
    the curve .76).

    Where labels were asked for, each candidate that they judge has `"asked"`, the asked
    rows in which it differs from the control, `"wins"` and `"losses"` among them (it is
    right and the control wrong, and the other way round), `"gain"` over the control in
    points, estimated from these, with its 90 % interval from `"low"` to `"high"`, and
    `"error_bound"`, on the chance that one not worth having gets this far. The others
    have `None` there.

    It prints the most telling columns in lines of at most 100 characters; `show` prints
    all of them.
    """

    def __str__(self):
        return self.show()

    def show(self, *, all_columns=False):
        """Return the table as text.

        Args:
            all_columns: Whether to show every column, however wide the lines get.

        Returns:
            String of lines.

        Example:

        >>> from tftransfer.adaptation.table import CandidateTable
        >>> table = CandidateTable([{"name": "E10", "vote": 2.5, "mmd": 0.1}])
        >>> print(table)
        candidate   vote
        E10        2.500
        >>> print(table.show(all_columns=True))
        candidate   vote    MMD
        E10        2.500  0.100
        """
        if not self:
            return "no candidates"
        names = list(self[0])
        if not all_columns:
            shown = _SHOWN_WITH_LABELS if "wins" in names else _SHOWN
            names = [name for name in shown if name in names]
        if "warning" in names:  # the only one without an end: at the end
            names = [*(name for name in names if name != "warning"), "warning"]
        rows = [[_TITLES.get(name, name.replace("_", " ")) for name in names]]
        rows += [[_show(name, row[name]) for name in names] for row in self]
        numeric = [name not in ("name", "warning") for name in names]
        lines = align_columns(rows, right=numeric)
        return "\n".join(lines if all_columns else map(_cut, lines))

    def with_scores(self, scores):
        """Return the table with what asked labels say of the candidates.

        Args:
            scores: Dictionary from name to `Score`.

        Returns:
            `CandidateTable`.
        """
        names = ("asked", "wins", "losses", "gain", "low", "high", "error_bound")
        return CandidateTable(
            {
                **row,
                **{
                    name: getattr(scores.get(row["name"]), name, None) for name in names
                },
            }
            for row in self
        )


def make_table(control, candidates, judge, classes, scores=None):
    """Score every candidate without labels.

    Args:
        control: `Control`.
        candidates: Sequence of `Candidate`.
        judge: `Judge`.
        classes: Sequence of class names.
        scores: Dictionary from name to a dictionary of further columns, the same ones
            for each; of `label_free_scores`.

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
                **((scores or {}).get(candidate.name, {})),
                "warning": "; ".join(signs_of_collapse(before, labels, classes)),
            }
        )
    return CandidateTable(rows)


def _show(name, value):
    if value is None:
        return "–"
    if name in _IN_POINTS:
        return f"{value:+.2f}"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _cut(line):
    return line if len(line) <= WIDTH else f"{line[: WIDTH - 1].rstrip()}…"
