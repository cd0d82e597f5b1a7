"""The candidates of the recipe: ten ways to label the target, and their ensembles."""

import dataclasses

from tftransfer.methods.confusion import minimum_class_confusion
from tftransfer.methods.domain_standardization import adabn
from tftransfer.methods.ensemble import IN_TARGET_UNITS, average
from tftransfer.methods.information import information_maximization
from tftransfer.methods.problem import Candidate
from tftransfer.methods.propagation import find_neighborhood, label_propagation
from tftransfer.methods.self_training import self_training

_CAUTIOUS_ALPHA = 0.5  # of the propagation that bears witness


@dataclasses.dataclass(frozen=True)
class Recipe:
    """All that the guard and whoever asks for labels choose from.

    Attributes:
        single: Dict of `Candidate` by name, without the control.
        ensemble: `Candidate` `"E10"`, the mean of the control and all others.
        witnesses: List of `Candidate` that must agree before a single call is changed.
    """

    single: dict
    ensemble: Candidate
    witnesses: list


def fit_recipe(problem, control, report=lambda line: None):
    """Fit every candidate of the recipe.

    Args:
        problem: `Problem`.
        control: `Control`.
        report: Called with one line before each step.

    Returns:
        `Recipe`.
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
    ensemble = average("E10", [control, *single.values()])
    in_target_units = average("eD", [single[name] for name in IN_TARGET_UNITS])
    return Recipe(single, ensemble, [single["S.cbst"], cautious, in_target_units])
