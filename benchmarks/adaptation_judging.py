"""From what a fitted run keeps on disk to its row of the results of `adaptation.py`.

Candidates are fitted once; what chooses among them, the guard, the estimate of the
accuracy and the asked labels, is run again here, so that a change of these needs no new
fits. Target labels make gains of choices and answer questions; they choose nothing.
"""

import dataclasses
import json
import os
from types import SimpleNamespace

import numpy as np

from tftransfer.adaptation.adapt_features import COMPARED, GUARDED
from tftransfer.adaptation.estimate import estimate_accuracies, estimate_left
from tftransfer.adaptation.guard import Evidence
from tftransfer.adaptation.guard import decide as decide_without_labels
from tftransfer.adaptation.judge import Judge
from tftransfer.adaptation.shares import Shares
from tftransfer.adaptation.spreading import correct, spread_labels
from tftransfer.asking.asking import choose_rows
from tftransfer.asking.deciding import decide as decide_by_labels
from tftransfer.methods.problem import Candidate

CONTROL, CHOSEN = "control", "chosen"
GUARD, ASKED, CHOSEN_BY_RANDOM = "guard", "20 asked", "20 random, choose"
ASKED_ONLY = "20 asked, choose only"
LABELS, DRAWS = 20, 20


@dataclasses.dataclass(frozen=True)
class Run:
    """What fitting one shift with one seed found.

    Attributes:
        about: Dict that JSON can hold: figures, scores, verdict at the time.
        candidates: Dict from name to float array `(m, num_classes)`, control first.
        held_out: Control's probabilities of source rows, `(n, num_classes)`.
        judge: Probabilities `(m, num_classes)` of the judge.
        labels: Of the source, `(n,)`.
        truth: Of the target, `(m,)`.
        graph: Sparse `(m, m)`: the target's nearest rows, as asked labels are spread
            over them. Kept in a file of its own.
    """

    about: dict
    candidates: dict
    held_out: np.ndarray
    judge: np.ndarray
    labels: np.ndarray
    truth: np.ndarray
    graph: object = None

    def save(self, path):
        """Write to `path`, all or nothing."""
        arrays = {
            "about": json.dumps({**self.about, "names": list(self.candidates)}),
            "candidates": np.stack(list(self.candidates.values())).astype("float32"),
            "held_out": self.held_out.astype("float32"),
            "judge": self.judge.astype("float32"),
            "labels": self.labels.astype("int16"),
            "truth": self.truth.astype("int16"),
        }
        partial = path.with_suffix(f".{os.getpid()}.npz")
        np.savez_compressed(partial, **arrays)
        partial.replace(path)

    @classmethod
    def load(cls, path):
        """Read what `save` wrote."""
        with np.load(path) as found:
            about = json.loads(str(found["about"]))
            candidates = dict(
                zip(about.pop("names"), found["candidates"].astype(float), strict=True)
            )
            floats = (found[name].astype(float) for name in ("held_out", "judge"))
            whole = (found[name].astype(int) for name in ("labels", "truth"))
            return cls(about, candidates, *floats, *whole)

    @property
    def num_classes(self):
        """Number of classes of the source."""
        return self.held_out.shape[1]

    def accuracy(self, labels):
        """Return the accuracy of target labels in percent."""
        return 100 * float(np.mean(labels == self.truth))


def judge_run(run):
    """Return the row of a run: gains of every way to choose, estimates, verdict."""
    decision = guard_again(run)
    probabilities = {**run.candidates, CHOSEN: decision.probabilities}
    calls = {name: each.argmax(axis=1) for name, each in probabilities.items()}
    before = run.accuracy(calls[CONTROL])
    gains = {
        name: run.accuracy(each) - before
        for name, each in calls.items()
        if name not in (CONTROL, CHOSEN)
    }
    guarded = run.accuracy(calls[CHOSEN]) - before
    verdicts = run.about["verdict"], decision.verdict
    return {
        **run.about,
        "control": before,
        "candidates": gains,
        "verdict": verdicts[1],
        "verdict_when_fitted": verdicts[0],
        "scores": decision.scores,
        "gains": {
            GUARD: [guarded],
            **ask(run, probabilities, calls),
            **choose_by_chance(run, calls),
        },
        "accuracies": {
            CONTROL: before,
            CHOSEN: before + guarded,
        },
        "estimates": estimate_again(run, probabilities, decision.verdict),
    }


def guard_again(run):
    """Return what the guard of today decides on the candidates of a run."""

    def candidate(name):
        return Candidate(name, run.candidates[name], None)

    control = make_control(run)
    scores = run.about["scores"]
    shares = Shares(
        *(scores[f"shares_{name}"] for name in ("found", "detectable", "of_control"))
    )
    problem = SimpleNamespace(labels=run.labels, num_classes=run.num_classes)
    evidence = Evidence(
        scores["auc"],
        scores["competence"],
        estimate_left(problem, control, run.candidates),
        shares,
    )
    candidates = {name: candidate(name) for name in run.candidates}
    return decide_without_labels(control, candidates, Judge(run.judge, None), evidence)


def make_control(run):
    probabilities = run.candidates[CONTROL]
    return SimpleNamespace(
        name=CONTROL,
        probabilities=probabilities,
        held_out=run.held_out,
        labels=probabilities.argmax(axis=1),
        predict=None,
    )


def estimate_again(run, probabilities, verdict):
    """Return, for control and choice, estimate and ends of its interval in percent."""
    problem = SimpleNamespace(labels=run.labels, num_classes=run.num_classes)
    found = estimate_accuracies(problem, make_control(run), probabilities, verdict)
    return {
        name: [100 * end for end in (each.value, each.low, each.high)]
        for name, each in found.items()
    }


def ask(run, probabilities, calls):
    """Return gains by twenty asked labels, the guard's choice as fallback.

    Once as `result.decide` does it, labels spread to rows beside them where that proves
    good, once by choosing alone. An asked row counts as the candidate chosen calls it,
    not as its label says, which is known by then.
    """
    control = calls[CONTROL]
    compared = {name: calls[name] for name in COMPARED}
    fallback = name_of(calls[CHOSEN], {CONTROL: control, **compared})
    if fallback is None:
        fallback, compared[GUARDED] = GUARDED, calls[CHOSEN]
    gains: dict = {ASKED: [], ASKED_ONLY: []}
    for draw in range(DRAWS):
        question = choose_rows(control, compared, LABELS, seed=draw)
        asked = {int(row): int(run.truth[row]) for row in question.rows}
        found = decide_by_labels(asked, control, compared, fallback=fallback)
        name = CHOSEN if found.chosen == GUARDED else found.chosen
        spread = spread_again(run, question.rows, probabilities[name])
        for way, labels in ((ASKED, spread), (ASKED_ONLY, calls[name])):
            gains[way].append(run.accuracy(labels) - run.accuracy(control))
    return gains


def spread_again(run, rows, probabilities):
    """Return calls of a candidate with what labels of rows say of those beside them."""
    calls = probabilities.argmax(axis=1)
    if run.graph is None or len(rows) < 2:
        return calls
    neighborhood = SimpleNamespace(graph=run.graph)
    found = spread_labels(neighborhood, probabilities, rows, run.truth[rows])
    if found.right <= found.right_before:
        return calls
    corrected = correct(probabilities, found.amounts).argmax(axis=1)
    corrected[rows] = calls[rows]
    return corrected


def name_of(labels, calls):
    """Return under which name there are such calls, or None."""
    return next((n for n, each in calls.items() if np.array_equal(each, labels)), None)


def choose_by_chance(run, calls):
    """Return gains of whoever is right most often in 20 rows drawn from all."""
    names = [CONTROL, CHOSEN, *COMPARED]  # of equals the first
    right = np.array([calls[name] == run.truth for name in names])
    gains = []
    for draw in range(DRAWS):
        rows = np.random.default_rng([draw, 20]).permutation(len(run.truth))[:LABELS]
        best = right[right[:, rows].sum(axis=1).argmax()]
        gains.append(100 * float(best.mean() - right[0].mean()))
    return {CHOSEN_BY_RANDOM: gains}
