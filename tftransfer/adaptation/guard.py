"""The decision: adapt, adapt in part, or stay with the source."""

import dataclasses
from collections.abc import Callable

import numpy as np

LEAST_AUC = 0.6  # of telling the domains apart: below, no shift
LEAST_COMPETENCE = 0.5  # of the control on held-out source rows
LEAST_VOTE = 1.0  # of the judge, for the ensemble as a whole

ADAPTED, IN_PART, KEPT = "adapted", "adapted in part", "kept source-only"


@dataclasses.dataclass(frozen=True)
class Decision:
    """What the guard decided, and from what.

    Attributes:
        verdict: `"adapted"`, `"adapted in part"` or `"kept source-only"`.
        reasons: List of str in plain words, with the figures.
        probabilities: Float array `(m, num_classes)` of the target rows.
        predict: Function from raw rows `(k, width)` to `(k, num_classes)`.
        scores: Dict of the figures: `"auc"`, `"competence"`, `"vote"`.
    """

    verdict: str
    reasons: list
    probabilities: np.ndarray
    predict: Callable
    scores: dict

    @property
    def labels(self):
        """Chosen classes of the target rows, whole numbers `(m,)`."""
        return self.probabilities.argmax(axis=1)


@dataclasses.dataclass(frozen=True)
class UnanimousModel:
    """A model whose calls change only where all others name one other class.

    Attributes:
        base: Function from rows to probabilities `(k, num_classes)`.
        voters: List of such functions.
    """

    base: Callable
    voters: list

    def __call__(self, rows):
        """Return probabilities `(k, num_classes)` of raw rows `(k, width)`."""
        voices = [voter(rows) for voter in self.voters]
        return _change_where_unanimous(self.base(rows), voices)


def decide(control, ensemble, witnesses, judge, *, auc, competence):
    """Decide without labels (the rule called G3).

    The control is kept unless the domains can be told apart and the control knows its
    classes on held-out source rows. Then the ensemble is taken as a whole if the judge
    sides with its changes; else a call is changed only where all witnesses and the
    judge name the same other class.

    The three thresholds were fixed once, on 86 pairs of domains (photographs, reviews,
    solar cells, digits), and are the same for all data: mean gain 2.06 points, worst
    pair -0.13; on 18 pairs that nothing was chosen on, worst pair -0.4.

    Args:
        control: `Control`.
        ensemble: `Candidate` of all methods together.
        witnesses: Sequence of `Candidate`.
        judge: `Judge`.
        auc: Of telling the domains apart, in 0..1.
        competence: Of the control, at most 1.

    Returns:
        `Decision`.
    """
    vote = judge.vote(control.labels, ensemble.probabilities.argmax(axis=1))
    scores = {"auc": auc, "competence": competence, "vote": vote}
    closed = _closed_gates(auc, competence)
    if closed:
        return Decision(KEPT, closed, control.probabilities, control.predict, scores)
    if vote > LEAST_VOTE:
        changed = ensemble.probabilities.argmax(axis=1) != control.labels
        reasons = [
            f"the target's own clusters side with the {changed.sum()} of "
            f"{len(changed)} calls that the candidates together change "
            f"(vote {vote:.1f}, above {LEAST_VOTE:g})"
        ]
        return Decision(
            ADAPTED, reasons, ensemble.probabilities, ensemble.predict, scores
        )
    return _decide_by_row(control, witnesses, judge, scores)


def _closed_gates(auc, competence):
    reasons = []
    if auc < LEAST_AUC:
        reasons.append(
            "no shift found: a classifier tells source and target apart with an area "
            f"under the curve of {auc:.2f}, below {LEAST_AUC:g}"
        )
    if competence < LEAST_COMPETENCE:
        reasons.append(
            "first get a better source model: on held-out source rows the control is "
            f"only {max(competence, 0):.0%} of the way from chance to always right, "
            f"below {LEAST_COMPETENCE:.0%}"
        )
    return reasons


def _decide_by_row(control, witnesses, judge, scores):
    witnesses = list(witnesses)
    voices = [each.probabilities for each in (*witnesses, judge)]
    probabilities = _change_where_unanimous(control.probabilities, voices)
    count = int(np.sum(probabilities.argmax(axis=1) != control.labels))
    doubt = (
        "the target's own clusters do not side with what the candidates together "
        f"change (vote {scores['vote']:.1f}, not above {LEAST_VOTE:g})"
    )
    names = ", ".join(each.name for each in witnesses)
    if not count:
        reasons = [doubt, f"and in no row do {names} and the judge agree on a change"]
        return Decision(KEPT, reasons, control.probabilities, control.predict, scores)
    reasons = [
        doubt,
        f"but in {count} of {len(probabilities)} rows {names} and the judge all name "
        "the same other class: only these calls are changed",
    ]
    voters = [each.predict for each in (*witnesses, judge)]
    predict = UnanimousModel(control.predict, voters)
    return Decision(IN_PART, reasons, probabilities, predict, scores)


def _change_where_unanimous(base, voices):
    """Take the mean of the voices where all name one class that the base does not."""
    calls = np.array([voice.argmax(axis=1) for voice in voices])
    same = np.all(calls == calls[0], axis=0) & (calls[0] != base.argmax(axis=1))
    # All give the most to the same class, so their mean does.
    return np.where(same[:, None], np.mean(voices, axis=0), base)
