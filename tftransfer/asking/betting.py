"""A game that only a candidate better than the control can win: evidence by betting.

Bet a part of what you own on "the candidate is right in the next asked row and the
control is wrong". If the candidate is not better, no way of betting makes money in
the mean, and whoever starts with 1 ever owns 1/a with a chance of a at most: at
whatever moment one looks, and however often.
"""

import numpy as np

_PARTS = np.array([0.3, 0.5, 0.7])  # of what is owned, put on a win; all three at once


def evidence_for(signs, num_rows, allowance=0.0):
    """Return what the bettor owns after the asked rows, having started with 1.

    Rows are drawn without replacement out of `num_rows`, in which the sum of all
    signs is `-allowance` at most if the candidate is not worth having. Then the mean
    of the next sign is at most

        m_t = (-allowance - S_{t-1}) / (num_rows - t + 1),

    and the product over the asked rows of `1 + c (g_t - m_t) / (1 + m_t)` stays 1 in
    the mean for each part `c`; the result is the mean over three parts. By Ville's
    inequality it ever reaches `1/a` with a chance of `a` at most.

    Args:
        signs: Array `(n, ...)`, in the order drawn: 1 where the candidate alone is
            right, -1 where the control alone is right, 0 elsewhere. Further axes are
            games of their own.
        num_rows: Number of rows drawn from, >= n; broadcast to the further axes.
        allowance: Number of rows, >= 0, by which a candidate may be worse and yet do
            no harm.

    Returns:
        Array `(...)` of at least 0; infinity where the asked rows leave no doubt.

    Example:

    >>> float(evidence_for(np.ones(4), 1000).round(1))  # (1.3^4 + 1.5^4 + 1.7^4) / 3
    5.4
    >>> float(evidence_for(np.ones(4), 7))  # the three others cannot undo it
    inf

    Reference:
        [Waudby-Smith & Ramdas, 2024](https://arxiv.org/abs/2010.09686), section 5:
        betting without replacement.
    """
    signs = np.asarray(signs, float)
    parts = _PARTS.reshape(-1, *[1] * (signs.ndim - 1))
    owned = np.ones((len(_PARTS), *signs.shape[1:]))
    total = np.zeros(signs.shape[1:])
    certain = np.zeros(signs.shape[1:], bool)
    for place, sign in enumerate(signs):
        mean = (-allowance - total) / np.maximum(num_rows - place, 1)
        certain |= mean < -1
        # At -1 the rows left can only be losses: nothing to bet on.
        stake = np.where(mean > -1, parts / np.maximum(1 + mean, 1e-12), 0.0)
        owned = owned * (1 + stake * (sign - mean))
        total = total + sign
    # What is left could not bring the sum down to the allowance any more.
    certain |= total - (num_rows - len(signs)) > -allowance
    return np.where(certain, np.inf, owned.mean(axis=0))


def bound_errors(evidence):
    """Bound the chance of so much evidence for one that is not worth having.

    Over all the candidates together: by closed testing, the evidence against a set of
    candidates is their mean, and a candidate counts as proven as far as every set
    that it is in is.

    Args:
        evidence: Array `(candidates,)` of `evidence_for`.

    Returns:
        Array `(candidates,)` in [0, 1].

    Example:

    >>> bound_errors(np.array([40.0, 40.0, 1.0])).round(3).tolist()
    [0.049, 0.049, 1.0]

    Reference:
        [Vovk & Wang, 2021](https://arxiv.org/abs/1912.06116), algorithm 1.
    """
    evidence = np.asarray(evidence, float)
    sizes = np.arange(1, len(evidence) + 1)
    bounds = []
    for place, own in enumerate(evidence):
        others = np.sort(np.delete(evidence, place))
        sums = own + np.concatenate([[0.0], np.cumsum(others)])
        bounds.append(1 / np.maximum((sums / sizes).min(), 1.0))
    return np.array(bounds)
