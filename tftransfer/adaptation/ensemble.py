"""Several candidates as one: the mean of their probabilities."""

import numpy as np

from tftransfer.adaptation.problem import Candidate

IN_TARGET_UNITS = ("adabn", "D.cbst", "D.mcc", "D.lp")


def average(name, candidates):
    """Join candidates, each with the same say.

    Args:
        name: Name of the new one.
        candidates: Sequence of `Candidate` or `Control`.

    Returns:
        `Candidate`.

    Example:

    >>> from tftransfer.adaptation.ensemble import average
    >>> from tftransfer.adaptation.problem import Candidate
    >>> sure = Candidate("sure", np.array([[1.0, 0.0]]), None)
    >>> torn = Candidate("torn", np.array([[0.5, 0.5]]), None)
    >>> average("both", [sure, torn]).probabilities.tolist()
    [[0.75, 0.25]]
    """
    candidates = list(candidates)

    def predict(rows):
        return np.mean([each.predict(rows) for each in candidates], axis=0)

    probabilities = np.mean([each.probabilities for each in candidates], axis=0)
    return Candidate(name, probabilities, predict)
