"""The control refitted on source rows that count as the target has their like."""

from collections.abc import Callable

from tftransfer.checks import check_choice
from tftransfer.methods.refitting import refit
from tftransfer.weighting import kliep, kmm, logistic_ratio, ulsif

WEIGHTINGS: dict[str, Callable] = {
    "kliep": kliep,
    "kmm": kmm,
    "logistic_ratio": logistic_ratio,
    "ulsif": ulsif,
}
_BOUND = 20.0  # a row that counts more often is noise rather than evidence


def reweighted(problem, control, *, weighting="ulsif"):
    """Refit the control with importance weights, cut off at 20 times the mean.

    Args:
        problem: `Problem`.
        control: `Control`.
        weighting: One of `WEIGHTINGS`.

    Returns:
        `Candidate` named after the weighting.

    Raises:
        ValueError: If `weighting` is something else.

    Reference:
        [Shimodaira, 2000](https://doi.org/10.1016/S0378-3758(00)00115-4).
    """
    check_choice("weighting", weighting, WEIGHTINGS)
    rows = problem.scaled_source
    weigh = WEIGHTINGS[weighting]
    weights = weigh(rows, problem.target_by_source, seed=problem.seed).clip(max=_BOUND)
    return refit(weighting, problem, control, rows, weights=weights)
