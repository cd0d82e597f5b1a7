"""Several candidates as one: the mean of their probabilities."""

import dataclasses

import numpy as np

from tftransfer.methods.problem import Candidate

IN_TARGET_UNITS = ("adabn", "D.cbst", "D.mcc", "D.lp")


@dataclasses.dataclass(frozen=True)
class MeanModel:
    """The mean of what several models say.

    Attributes:
        models: List of functions from rows to probabilities `(k, num_classes)`.
    """

    models: list

    def __call__(self, rows):
        """Return the mean of their probabilities, `(k, num_classes)`."""
        return np.mean([model(rows) for model in self.models], axis=0)


def average(name, candidates):
    """Join candidates, each with the same say.

    Args:
        name: Name of the new one.
        candidates: Sequence of `Candidate` or `Control`.

    Returns:
        `Candidate`.

    Example:

    >>> from tftransfer.methods.ensemble import average
    >>> from tftransfer.methods.problem import Candidate
    >>> sure = Candidate("sure", np.array([[1.0, 0.0]]), None)
    >>> torn = Candidate("torn", np.array([[0.5, 0.5]]), None)
    >>> average("both", [sure, torn]).probabilities.tolist()
    [[0.75, 0.25]]
    """
    candidates = list(candidates)
    probabilities = np.mean([each.probabilities for each in candidates], axis=0)
    predict = MeanModel([each.predict for each in candidates])
    return Candidate(name, probabilities, predict)
