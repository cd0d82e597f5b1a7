"""Deterministic stratified splits of indices."""

import numpy as np

from tftransfer.checks import check_whole_number


def split_indices(strata, fractions, *, seed=0):
    """Divide indices so that every part holds the same mixture of strata.

    Within a stratum the choice is random; how many go where is not: each count is the
    exact share rounded up or down, and what rounding leaves over is carried to the
    next stratum, so that the totals are right as well. A stratum never misses in the
    first part, which is the one to train on. The result depends on nothing but the
    arguments.

    Args:
        strata: Sequence of length `n`: the stratum of each element, as strings or
            numbers (for classification: the labels).
        fractions: Share of each part, positive numbers that add up to one.
        seed: Whole number >= 0.

    Returns:
        List with one sorted int64 array of indices per part.

    Raises:
        TypeError: If `seed` is not a whole number.
        ValueError: If `fractions` do not add up to one, or there is nothing to split.

    Example:

    >>> train, test = split_indices(["a"] * 4 + ["b"] * 8, (0.75, 0.25))
    >>> len(train), len(test), int(sum(test < 4))
    (9, 3, 1)
    """
    strata, fractions = np.asarray(strata), np.asarray(fractions, "float64")
    check_whole_number("seed", seed, minimum=0)
    if fractions.ndim != 1 or any(fractions <= 0) or abs(sum(fractions) - 1) > 1e-6:
        raise ValueError(
            "`fractions` must be positive numbers that add up to 1. "
            f"Received: fractions={tuple(fractions.tolist())!r}. "
            "Write for example (0.75, 0.25)."
        )
    if strata.ndim != 1 or len(strata) == 0:
        raise ValueError(
            "`strata` must be a sequence with one entry per element. "
            f"Received: strata of shape {strata.shape}."
        )
    return _split(strata, fractions, np.random.Generator(np.random.Philox(seed)))


def _split(strata, fractions, random):
    names, membership = np.unique(strata, return_inverse=True)
    parts: list[list] = [[] for _ in fractions]
    carried = np.zeros(len(fractions))
    for stratum in range(len(names)):
        members = random.permutation(np.flatnonzero(membership == stratum))
        ideal = len(members) * fractions + carried
        counts = _round_counts(ideal, len(members))
        carried = ideal - counts
        pieces = np.split(members, np.cumsum(counts)[:-1])
        for part, piece in zip(parts, pieces, strict=True):
            part.append(piece)
    return [np.sort(np.concatenate(part)).astype("int64") for part in parts]


def _round_counts(ideal, total):
    counts = np.maximum(np.floor(ideal + 1e-9), 0).astype("int64")
    missing = np.argsort(counts - ideal, kind="stable")  # the largest remainders first
    counts[missing[: max(0, total - counts.sum())]] += 1
    while counts.sum() > total:
        counts[np.argmax(counts)] -= 1
    if counts[0] == 0:
        counts[np.argmax(counts)] -= 1
        counts[0] = 1
    return counts
