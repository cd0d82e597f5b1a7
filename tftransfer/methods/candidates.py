"""The candidates of the recipe: nine ways to label the target, and their means."""

import dataclasses

from tftransfer.methods.confusion import minimum_class_confusion
from tftransfer.methods.domain_standardization import adabn
from tftransfer.methods.ensemble import IN_TARGET_UNITS, average
from tftransfer.methods.information import information_maximization
from tftransfer.methods.propagation import find_neighborhood, label_propagation
from tftransfer.methods.self_training import self_training

_CAUTIOUS_ALPHA = 0.5  # of the propagation that bears witness


def fit_recipe(problem, control, report=lambda line: None):
    """Fit every candidate of the recipe.

    Args:
        problem: `Problem`.
        control: `Control`.
        report: Called with one line before each step.

    Returns:
        Dict of `Candidate` by name: the nine single ways, `"S.lp(0.5)"`, which is label
        propagation that trusts the control more, `"eD"`, the mean of four in target
        units, and `"E10"`, the mean of the control and all nine others.
    """
    single = {"adabn": adabn(problem, control)}
    cautious = None
    for units in ("source", "target"):
        for name, method in (
            ("self-training", self_training),
            ("class confusion", minimum_class_confusion),
            ("information", information_maximization),
        ):
            report(f"{name}, target in {units} units")
            found = method(problem, control, units=units)
            single[found.name] = found
        report(f"label propagation, target in {units} units")
        near = find_neighborhood(problem, units=units)
        found = label_propagation(problem, control, units=units, neighborhood=near)
        single[found.name] = found
        if units == "source":
            cautious = label_propagation(
                problem, control, alpha=_CAUTIOUS_ALPHA, neighborhood=near
            )
            cautious = dataclasses.replace(cautious, name="S.lp(0.5)")
    in_target_units = average("eD", [single[name] for name in IN_TARGET_UNITS])
    ensemble = average("E10", [control, *single.values()])
    joined = [cautious, in_target_units, ensemble]
    return single | {each.name: each for each in joined}
