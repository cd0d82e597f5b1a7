"""Per-domain standardization: each domain in units of its own mean and spread."""

from tftransfer.methods.problem import Candidate
from tftransfer.methods.softmax_regression import ScaledModel


def adabn(problem, control):
    """Apply the control to target rows standardized by the target itself.

    Takes away whatever shifts or stretches each feature by itself: other lighting,
    another sensor. Where class shares differ it takes away part of the classes too.

    Args:
        problem: `Problem`.
        control: `Control`.

    Returns:
        `Candidate` named `"adabn"`.

    Example:

    >>> from tftransfer.methods.control import fit_control
    >>> from tftransfer.methods.domain_standardization import adabn
    >>> from tftransfer.methods.problem import Problem
    >>> labels = np.arange(60) % 2
    >>> source = np.stack([2.0 * labels, np.sin(np.arange(60))], axis=1)
    >>> problem = Problem(source, labels, source + 5, 2)  # moved by a constant
    >>> candidate = adabn(problem, fit_control(problem))
    >>> bool((candidate.probabilities.argmax(axis=1) == labels).all())
    True

    Reference:
        [Li et al., 2016](https://arxiv.org/abs/1603.04779), algorithm 1, with the
        features of any network in place of those inside one.
    """
    predict = ScaledModel(problem.by_target, control.model)
    return Candidate("adabn", control.model(problem.target_by_target), predict)
