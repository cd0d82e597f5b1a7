"""In which units a method reads the target: those of the source, or its own."""

from tftransfer.checks import check_choice
from tftransfer.methods.domain_standardization import adabn

PREFIXES = {"source": "S", "target": "D"}  # of the names of candidates


def target_input(problem, units):
    """Return target rows in the wanted units and what brings further rows there.

    Args:
        problem: `Problem`.
        units: `"source"` (mean and spread of the source) or `"target"` (its own).

    Returns:
        Float array `(m, width)` and `Scaling`.

    Raises:
        ValueError: If `units` is something else.
    """
    check_choice("units", units, PREFIXES)
    if units == "source":
        return problem.target_by_source, problem.by_source
    return problem.target_by_target, problem.by_target


def first_guess(problem, control, units):
    """Return what the control says of rows in these units: itself, or `adabn`.

    Args:
        problem: `Problem`.
        control: `Control`.
        units: `"source"` or `"target"`.

    Returns:
        Object with `probabilities` `(m, num_classes)` and `predict`.
    """
    return control if units == "source" else adabn(problem, control)
