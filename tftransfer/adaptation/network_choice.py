"""Whether a network trained end to end is chosen without labels."""

import dataclasses

import numpy as np

from tftransfer.adaptation.collapse import signs_of_collapse
from tftransfer.adaptation.estimate import estimate_accuracies
from tftransfer.adaptation.guard import (
    ADAPTED,
    LEAST_AUC,
    LEAST_COMPETENCE,
    LEAST_VOTE,
)
from tftransfer.adaptation.judge import fit_judge

MOST_LOST = 0.02  # of the source accuracy, against the control on held-out rows


def choose_network(result, trials):
    """Choose a network trained end to end where everything speaks for it.

    Both gates of the guard must be open. The judge, who knows the frozen features
    alone, must side with its changes against the control, and with it against what
    the guard chose; it must show no sign of collapse; and it must know the source
    about as well as the control does. Of several, the one with the largest vote
    against the control is taken. Where none is, asked labels may still choose one.

    Args:
        result: `AdaptationResult` on features, with the networks among the candidates.
        trials: `EndToEnd` that trained them.

    Returns:
        `AdaptationResult`, the same with notes where none is chosen.
    """
    result = dataclasses.replace(result, notes=[*result.notes, *trials.notes])
    names = list(trials.models)
    if not names or not _gates_are_open(result.scores):
        return result
    judge = fit_judge(trials.problem, trials.control)
    votes, notes = {}, []
    for name in names:
        vote, doubt = _examine(name, result, trials, judge)
        if doubt:
            notes.append(f"{name} is not chosen: {doubt}; asked labels may say more")
        else:
            votes[name] = vote
    result = dataclasses.replace(result, notes=[*result.notes, *notes])
    if not votes:
        return result
    best = max(votes, key=votes.__getitem__)
    return _take(result, trials, best, votes[best])


def _gates_are_open(scores):
    return scores["auc"] >= LEAST_AUC and scores["competence"] >= LEAST_COMPETENCE


def _examine(name, result, trials, judge):
    """Return the vote for a network, and what speaks against it, or an empty str."""
    labels = result.candidates[name].argmax(axis=1)
    control = trials.control
    vote = judge.vote(control.labels, labels)
    if vote <= LEAST_VOTE:
        return vote, (
            "the target's own clusters do not side with its changes "
            f"(vote {vote:.1f}, not above {LEAST_VOTE:g})"
        )
    against = judge.vote(result.candidates["chosen"].argmax(axis=1), labels)
    if against < 0:
        return vote, (
            "where it differs from what is chosen on features, the target's own "
            f"clusters side against it (vote {against:.1f})"
        )
    signs = signs_of_collapse(control.labels, labels, result.classes)
    if signs:
        return vote, "; ".join(signs)
    held_out = control.held_out.argmax(axis=1)
    known = float(np.mean(held_out == trials.problem.labels))
    own = trials.source_accuracy[name]
    if own < known - MOST_LOST:
        return vote, (
            f"it knows the source less well, {own:.1%} of it against the control's "
            f"{known:.1%}"
        )
    return vote, ""


def _take(result, trials, name, vote):
    candidates = {**result.candidates, "chosen": result.candidates[name]}
    models = {**result.models, "chosen": result.models[name]}
    changed = np.sum(candidates[name].argmax(axis=1) != trials.control.labels)
    reason = (
        f"{name}, trained end to end, knows the source, and the target's own clusters "
        f"side with the {changed} of {len(candidates[name])} calls that it changes "
        f"(vote {vote:.1f}, above {LEAST_VOTE:g})"
    )
    return dataclasses.replace(
        result,
        model=models["chosen"],
        verdict=ADAPTED,
        reasons=[reason, f"on features alone: {'; '.join(result.reasons)}"],
        estimated_accuracy=estimate_accuracies(
            trials.problem, trials.control, candidates, ADAPTED
        ),
        candidates=candidates,
        models=models,
        choice=name,
    )
