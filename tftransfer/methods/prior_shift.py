"""Prior-shift correction: class shares of the target from a classifier's own words."""

import dataclasses
from collections.abc import Callable

import numpy as np

from tftransfer.checks import check_number, check_whole_number
from tftransfer.methods.problem import Candidate


@dataclasses.dataclass(frozen=True)
class Rescaled:
    """A classifier whose classes count more or less than it learned.

    Attributes:
        model: Function from rows to probabilities `(k, num_classes)`.
        factors: Float array `(num_classes,)`, `>= 0`.
    """

    model: Callable
    factors: np.ndarray

    def __call__(self, rows):
        """Return probabilities `(k, num_classes)`, rescaled."""
        return rescale(self.model(rows), self.factors)


def rescale(probabilities, factors):
    """Multiply each class by its factor; rows sum to 1 again.

    Args:
        probabilities: Float array `(n, num_classes)`.
        factors: Float array `(num_classes,)`, `>= 0`.

    Returns:
        Float array `(n, num_classes)`; a row that would become 0 stays as it is.
    """
    scaled = probabilities * factors
    total = scaled.sum(axis=1, keepdims=True)
    return np.where(total > 0, scaled / np.where(total > 0, total, 1), probabilities)


def estimate_priors(probabilities, source_priors, *, most_steps=1000, tolerance=1e-8):
    """Estimate class shares of unlabeled rows by expectation maximization.

    Supposes that the classes look in the target as they do in the source and only their
    shares differ. Under any other shift it can do great harm.

    Formula, from `q = p` on, with `p` the source's shares:

        P(k | x) = q_k / p_k P_s(k | x) / sum_j q_j / p_j P_s(j | x)
        q_k <- mean_x P(k | x)

    Each step raises the likelihood of the rows, `sum_x log sum_k q_k / p_k P_s(k | x)`.

    Args:
        probabilities: `P_s`, float array `(m, num_classes)`, rows with sum 1.
        source_priors: `p`, float array `(num_classes,)`, above 0, with sum 1.
        most_steps: Steps after which to stop in any case, >= 1.
        tolerance: Stop where no share changes by more in a step, >= 0.

    Returns:
        `q`, float array `(num_classes,)` with sum 1.

    Raises:
        ValueError: If shapes do not fit, rows do not sum to 1, or a source share is not
            above 0.

    Example:

    >>> from tftransfer.methods.prior_shift import estimate_priors
    >>> sure = np.array([[0.99, 0.01]] * 3 + [[0.01, 0.99]])
    >>> estimate_priors(sure, np.array([0.5, 0.5])).round(2).tolist()
    [0.76, 0.24]

    Reference:
        [Saerens et al., 2002](https://doi.org/10.1162/089976602753284446), eq. 2.9.
    """
    probabilities = _read_probabilities(probabilities)
    priors = _read_priors(source_priors, probabilities.shape[1])
    check_whole_number("most_steps", most_steps)
    check_number("tolerance", tolerance, 0.0)
    found = priors
    for _ in range(most_steps):
        new = rescale(probabilities, found / priors).mean(axis=0)
        done = np.abs(new - found).max() <= tolerance
        found = new
        if done:
            break
    return found


def prior_shift(problem, control, *, most_steps=1000):
    """Correct the control for the class shares that `estimate_priors` finds.

    Args:
        problem: `Problem`, every class in its labels.
        control: `Control`.
        most_steps: See `estimate_priors`.

    Returns:
        `Candidate` named `"prior_shift"`.
    """
    counts = np.bincount(problem.labels, minlength=problem.num_classes)
    priors = np.maximum(counts, 1) / np.maximum(counts, 1).sum()
    estimated = estimate_priors(control.probabilities, priors, most_steps=most_steps)
    factors = estimated / priors
    probabilities = rescale(control.probabilities, factors)
    return Candidate("prior_shift", probabilities, Rescaled(control.predict, factors))


def _read_probabilities(probabilities):
    probabilities = np.asarray(probabilities, dtype=np.float64)
    good = probabilities.ndim == 2 and len(probabilities) and probabilities.shape[1] > 1
    if not good or not np.allclose(probabilities.sum(axis=1), 1.0, atol=1e-3):
        raise ValueError(
            "`probabilities` must have shape (rows, num_classes) and rows with sum 1. "
            f"Received: probabilities of shape {probabilities.shape}. "
            "Put logits through softmax first."
        )
    return probabilities / probabilities.sum(axis=1, keepdims=True)


def _read_priors(priors, num_classes):
    priors = np.asarray(priors, dtype=np.float64)
    if priors.shape != (num_classes,) or not (priors > 0).all():
        raise ValueError(
            f"`source_priors` must be {num_classes} numbers above 0, one a class. "
            f"Received: source_priors={priors.tolist()}. "
            "Leave classes out that the source does not have."
        )
    return priors / priors.sum()
