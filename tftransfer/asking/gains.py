"""By how many points a candidate beats the control, judged from a few asked rows."""

import numpy as np

_PRIOR = 0.5  # of a row, of each kind, thought seen before the first label
_DRAWS = 4000


def estimate_gain(wins, losses, asked, num_disagreeing, num_rows, *, level=0.9, seed=0):
    """Estimate a candidate's gain in accuracy, with an interval.

    Only the rows in which the two differ can make a gain, and their number is known.
    What is not known is how many of those not asked are wins and losses: they are
    drawn from an urn (Polya's) that holds the asked rows and half a row of each kind.
    Once all are asked, the interval is a point.

    Args:
        wins: Asked rows in which the candidate alone is right.
        losses: Asked rows in which the control alone is right.
        asked: Asked rows in which the two differ, >= wins + losses.
        num_disagreeing: All target rows in which the two differ.
        num_rows: All target rows.
        level: Chance, between 0 and 1, with which the interval is to hold the gain,
            for one candidate by itself.
        seed: Of the draws.

    Returns:
        Tuple `(gain, low, high)`, in accuracy points.

    Example:

    >>> gain, low, high = estimate_gain(9, 1, 10, 100, 1000)
    >>> round(gain, 2), low < gain < high
    (7.06, True)
    >>> estimate_gain(9, 1, 10, 10, 1000)  # all are asked
    (0.8, 0.8, 0.8)

    Reference:
        The Polya posterior of a finite population: Ghosh & Meeden, Bayesian Methods
        for Finite Population Sampling, 1997.
    """
    left = num_disagreeing - asked
    kinds = np.array([wins, losses, asked - wins - losses]) + _PRIOR
    expected = wins - losses + left * (kinds[0] - kinds[1]) / kinds.sum()
    rng = np.random.default_rng(seed)
    unseen = rng.multinomial(left, rng.dirichlet(kinds, _DRAWS))
    totals = wins - losses + unseen[:, 0] - unseen[:, 1]
    low, high = np.quantile(totals, [(1 - level) / 2, (1 + level) / 2])
    to_points = 100 / num_rows
    return tuple(float(value * to_points) for value in (expected, low, high))
