"""What the classic scores say of each candidate: told in the table, never trusted."""

import numpy as np

from tftransfer.methods.ensemble import IN_TARGET_UNITS
from tftransfer.methods.principal_components import find_components
from tftransfer.methods.target_input import PREFIXES
from tftransfer.validation.domain_distances import a_distance, mmd
from tftransfer.validation.model_validators import circular_validation, class_clusters
from tftransfer.validation.validators import (
    agreement,
    average_thresholded_confidence,
    information_maximization,
    soft_neighborhood_density,
)

_COMPONENTS, _MOST_ROWS = 30, 1000


def label_free_scores(problem, control, candidates):
    """Return what the classic label-free scores say of each candidate.

    Args:
        problem: `Problem`.
        control: `Control`.
        candidates: Sequence of `Candidate`.

    Returns:
        Dictionary from the name of the control and of each candidate to one with
        `"information"` (`information_maximization`), `"density"`
        (`soft_neighborhood_density`, on at most 1,000 rows), `"agreement"` with the
        control, `"atc"` (`average_thresholded_confidence`, its threshold from the
        control's held-out rows), `"clusters"` (`class_clusters`), `"circular"`
        (`circular_validation`), and the distances `"a_distance"` and `"mmd"` of the
        domains in the units that the candidate reads, `None` where it reads both, as is
        `"clusters"` where there are fewer rows than classes. What reads features does
        so on at most 1,000 rows of each domain, on 30 principal components of both.
    """
    views = _build_views(problem)
    some = _draw(len(problem.target), problem.seed)
    found = {}
    for candidate in (control, *candidates):
        probabilities = candidate.probabilities
        view = _view_of(candidate.name, control.name)
        source, labels, target, distances = views[view or "target"]
        found[candidate.name] = {
            "information": information_maximization(probabilities),
            "density": soft_neighborhood_density(probabilities[some]),
            "agreement": agreement(probabilities, control.probabilities),
            "atc": average_thresholded_confidence(
                control.held_out, problem.labels, probabilities
            ),
            "clusters": _match_clusters(target, probabilities[some], problem.seed),
            "circular": circular_validation(
                source, labels, target, probabilities[some]
            ),
            **(distances if view else dict.fromkeys(distances)),
        }
    return found


def _build_views(problem):
    """Return, by units, few source rows, their labels, target rows, and distances."""
    few = _draw(len(problem.source), problem.seed)
    some = _draw(len(problem.target), problem.seed)
    views = {}
    for units, rows in (
        ("source", problem.target_by_source),
        ("target", problem.target_by_target),
    ):
        pair = problem.scaled_source[few], rows[some]
        components = find_components(np.concatenate(pair), _COMPONENTS)
        source, target = map(components, pair)
        distances = {
            "a_distance": a_distance(source, target, seed=problem.seed),
            "mmd": mmd(source, target, seed=problem.seed),
        }
        views[units] = source, problem.labels[few], target, distances
    return views


def _match_clusters(target, probabilities, seed):
    if len(np.unique(target, axis=0)) < probabilities.shape[1]:
        return None
    return class_clusters(target, probabilities, seed=seed)


def _view_of(name, control_name):
    """Return which units a candidate reads the target in, or None where both."""
    if name in IN_TARGET_UNITS or name.startswith(f"{PREFIXES['target']}."):
        return "target"
    if name == control_name or name.startswith(f"{PREFIXES['source']}."):
        return "source"
    return None


def _draw(count, seed):
    if count <= _MOST_ROWS:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).permutation(count)[:_MOST_ROWS])
