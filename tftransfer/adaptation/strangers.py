"""Target rows that fit no class of the source."""

import numpy as np

from tftransfer.methods.control import deal_folds

_NEIGHBORS, _MOST_ROWS, _FOLDS = 5, 2000, 3
_FARTHEST = 4.0  # standard deviations, so that no single feature decides
_QUANTILE = 0.99


def share_of_strangers(problem):
    """Return the share of target rows farther from the source than its own rows are.

    A row is far where the cosine to its fifth nearest source row is small: below that
    of 99 % of source rows to the rest of the source, in the other folds of three. The
    target is read in units of the source and in its own, and the smaller share counts:
    the one takes a shift of single features for strangers, the other a missing class.

    Classes that the source lacks make it large, and so does a shift of another kind.
    Measured on 8x8 digits: without a shift .00; half the target of unknown classes .27,
    a fifth .04, a tenth .00; less contrast and noise alone .09 to .16, heavy noise .63.

    Args:
        problem: `Problem`. Of more than 2,000 rows of a domain that many are drawn.

    Returns:
        Float in 0..1; about 0.01 where the domains are alike.

    Example:

    >>> from tftransfer.adaptation.strangers import share_of_strangers
    >>> from tftransfer.methods.problem import Problem
    >>> draw = np.random.default_rng(0).normal
    >>> centers = 9 * np.eye(6)
    >>> labels = np.arange(300) % 3
    >>> source = draw(size=(300, 6)) + centers[labels]
    >>> target = draw(size=(200, 6)) + centers[np.arange(200) % 5]  # two classes more
    >>> share_of_strangers(Problem(source, labels, target, 3)) > 0.2
    True
    """
    generator = np.random.default_rng(problem.seed)
    few, some = (
        generator.permutation(len(rows))[:_MOST_ROWS]
        for rows in (problem.source, problem.target)
    )
    source = _to_directions(problem.scaled_source[few])
    folds = deal_folds(problem.labels[few], _FOLDS, generator)
    nearness = np.empty(len(source))
    for fold in range(_FOLDS):
        inside = folds == fold
        nearness[inside] = _nearness(source[~inside], source[inside])
    least = np.quantile(nearness, 1 - _QUANTILE)
    center = np.clip(problem.scaled_source[few], -_FARTHEST, _FARTHEST).mean(axis=0)
    targets = (
        _to_directions(problem.target_by_source[some], center),
        _to_directions(problem.target_by_target[some]),
    )
    return float(min(np.mean(_nearness(source, rows) < least) for rows in targets))


def _to_directions(rows, center=None):
    rows = np.clip(rows, -_FARTHEST, _FARTHEST)
    rows = rows - (rows.mean(axis=0) if center is None else center)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def _nearness(reference, rows):
    """Cosine of each row to its fifth nearest row of the reference."""
    count = min(_NEIGHBORS, len(reference))
    cosines = rows @ reference.T
    return np.partition(cosines, len(reference) - count, axis=1)[:, -count]
