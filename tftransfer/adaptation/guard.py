"""The decision: adapt, adapt in part, or stay with the source."""

import dataclasses
from collections.abc import Callable

import numpy as np

from tftransfer.adaptation.shares import MOST_OF_CONTROL, Shares

LEAST_AUC = 0.6  # of telling the domains apart: below, no shift
LEAST_COMPETENCE = 0.5  # of the control on held-out source rows
MOST_LEFT = 0.8  # of that competence, by estimate, on the target: below, it has lost
LITTLE_LEFT = 0.4  # of it: no change of shares alone takes so much
NEXT_TO_NOTHING = 0.1  # of it left, where a change of shares could not be seen
LEAST_VOTE = 1.0  # of the judge, where the control has lost little
FEWEST_ROWS = 200  # of the target, for such a vote, and for neighbors to ask
IN_TARGET_UNITS, BY_NEIGHBORS, ENSEMBLE = "eD", "D.lp", "E10"
RESCALED = "adabn"  # the control itself, on features standardized by the target's own
WITNESSES = ("S.cbst", "S.mcc", "S.lp(0.5)", "D.lp", IN_TARGET_UNITS)

ADAPTED, IN_PART, KEPT = "adapted", "adapted in part", "kept source-only"


@dataclasses.dataclass(frozen=True)
class Decision:
    """What the guard decided, and from what.

    Attributes:
        verdict: `"adapted"`, `"adapted in part"` or `"kept source-only"`.
        reasons: List of str in plain words, with the figures.
        probabilities: Float array `(m, num_classes)` of the target rows.
        predict: Function from raw rows `(k, width)` to `(k, num_classes)`.
        scores: Dict of the figures of `Evidence`, `"vote"` among them.
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


@dataclasses.dataclass(frozen=True)
class Evidence:
    """What is known without target labels.

    Attributes:
        auc: Of telling the domains apart, in 0..1.
        competence: Of the control on held-out source rows, 0 at chance, at most 1.
        left: Estimated share of it that is left on the target.
        shares: `Shares` of classes.
    """

    auc: float
    competence: float
    left: float
    shares: Shares


def decide(control, candidates, judge, evidence):
    """Decide without labels.

    The control is kept unless the domains can be told apart and the control knows its
    classes on held-out source rows. Then it depends on two things: whether the control
    is estimated to have lost a fifth of that on the target, or else the judge sides
    with the changes; and whether class shares look the same, since methods in target
    units take a change of shares for a shift.

    - Lost, shares close: the mean of the methods in target units. Where a change of
      shares could not be seen, only the control on features standardized by the
      target's own mean and spread.
    - Lost, shares perhaps a little different: the labels that neighbors in target units
      pass on, which follow the target's clusters whatever their shares. The same where
      shares cannot be seen and next to nothing is left. Below 200 rows, which hold no
      clusters, the control so standardized instead.
    - Lost, shares different, but three fifths of it lost, which no change of shares
      does alone: the control so standardized. Where so much is lost no clusters are
      left to follow.
    - Else lost: only calls that all witnesses and the judge want changed.
    - Not lost, shares close and to be seen, a vote above 1 in 200 rows or more: as the
      first.
    - Else: the control.

    The thresholds are the same for all data. Most were fixed on 46 shifts (digits,
    rotations, corruptions, reviews; one draw) and 176 variants of them with changed
    shares, missing classes or 100 rows; what is done about shares that differ on
    another draw of 51 shifts, with features of a LeNet and solar cells among them, and
    133 variants: mean gain there 10.3 points on the 51 (worst -0.1), 8.4 with 100 rows
    (-1.0), 9.9 without half of the classes (-4.5), 9.4 with other shares (-1.6).

    Args:
        control: `Control`.
        candidates: Dict of `Candidate` as `fit_recipe` gives it.
        judge: `Judge`.
        evidence: `Evidence`.

    Returns:
        `Decision`.
    """
    ensemble = candidates[ENSEMBLE]
    vote = judge.vote(control.labels, ensemble.probabilities.argmax(axis=1))
    scores = _list_scores(evidence, vote)
    closed = _closed_gates(evidence.auc, evidence.competence)
    if closed:
        return _keep(control, closed, scores)
    shares, has_lost = evidence.shares, evidence.left <= MOST_LEFT
    reasons = [_tell_loss(evidence.left), _tell_shares(shares)]
    has_rows = len(control.labels) >= FEWEST_ROWS
    if not has_lost:
        reasons.append(_tell_vote(vote, len(control.labels)))
        if not shares.can_be_seen:
            reasons.append("so small a loss is left alone where shares cannot be seen")
        is_close = shares.can_be_seen and shares.are_close
        if not (is_close and has_rows and vote > LEAST_VOTE):
            return _keep(control, reasons, scores)
    if shares.are_close:
        name = IN_TARGET_UNITS if shares.can_be_seen else RESCALED
        return _adapt(control, candidates[name], reasons, scores)
    is_nothing = evidence.left <= NEXT_TO_NOTHING and not shares.can_be_seen
    is_little = evidence.left <= LITTLE_LEFT and shares.can_be_seen
    if is_nothing or shares.may_differ_a_little:
        if is_nothing:
            reasons.append("a control that knows next to nothing there cannot tell")
        name = BY_NEIGHBORS if has_rows else RESCALED
        return _adapt(control, candidates[name], reasons, scores)
    if is_little:
        reasons.append("but other shares alone would not take so much")
        return _adapt(control, candidates[RESCALED], reasons, scores)
    return _decide_by_row(control, candidates, judge, reasons, scores)


def _list_scores(evidence, vote):
    scores = dataclasses.asdict(evidence)
    shares = scores.pop("shares")
    return scores | {f"shares_{name}": x for name, x in shares.items()} | {"vote": vote}


def _keep(control, reasons, scores):
    return Decision(KEPT, reasons, control.probabilities, control.predict, scores)


def _adapt(control, candidate, reasons, scores):
    changed = np.sum(candidate.probabilities.argmax(axis=1) != control.labels)
    reason = f"{candidate.name} changes {changed} of {len(control.labels)} calls"
    return Decision(
        ADAPTED,
        [*reasons, reason],
        candidate.probabilities,
        candidate.predict,
        scores,
    )


def _tell_loss(left):
    extent = "at most" if left <= MOST_LEFT else "more than"
    return (
        f"of what the control knows on the source {max(left, 0):.0%} seems to be left "
        f"on the target, {extent} {MOST_LEFT:.0%}"
    )


def _tell_shares(shares):
    if not shares.can_be_seen:
        judged = "look" if shares.are_close else "do not look"
        return (
            "classes overlap too much to see in target units whether their shares "
            f"differ; the control's calls {judged} like the source (distance at most "
            f"{shares.of_control:.2f}, {MOST_OF_CONTROL:g} wanted)"
        )
    measured = (
        f"distance {shares.found:.2f}, where a real change shows "
        f"{shares.detectable:.2f}"
    )
    if shares.are_close:
        return f"class shares look like those of the source ({measured})"
    if shares.may_differ_a_little:
        return f"class shares may differ a little ({measured})"
    return f"class shares seem to differ ({measured})"


def _tell_vote(vote, count):
    if count < FEWEST_ROWS:
        return f"{count} target rows are too few to adapt to so small a loss"
    sides = "side" if vote > LEAST_VOTE else "do not side"
    return (
        f"the target's own clusters {sides} with the changes (vote {vote:.1f}, above "
        f"{LEAST_VOTE:g} wanted)"
    )


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


def _decide_by_row(control, candidates, judge, reasons, scores):
    witnesses = [candidates[name] for name in WITNESSES]
    voices = [each.probabilities for each in (*witnesses, judge)]
    probabilities = _change_where_unanimous(control.probabilities, voices)
    count = int(np.sum(probabilities.argmax(axis=1) != control.labels))
    names = ", ".join(WITNESSES)
    if not count:
        reason = f"in no row do {names} and the judge agree on a change"
        return _keep(control, [*reasons, reason], scores)
    reason = (
        f"but in {count} of {len(probabilities)} rows {names} and the judge all name "
        "the same other class: only these calls are changed"
    )
    voters = [each.predict for each in (*witnesses, judge)]
    predict = UnanimousModel(control.predict, voters)
    return Decision(IN_PART, [*reasons, reason], probabilities, predict, scores)


def _change_where_unanimous(base, voices):
    """Take the mean of the voices where all name one class that the base does not."""
    calls = np.array([voice.argmax(axis=1) for voice in voices])
    same = np.all(calls == calls[0], axis=0) & (calls[0] != base.argmax(axis=1))
    # All give the most to the same class, so their mean does.
    return np.where(same[:, None], np.mean(voices, axis=0), base)
