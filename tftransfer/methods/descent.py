"""Move the weights of the control downhill, and label the target with them."""

import numpy as np

from tftransfer.methods.adam import minimize_by_adam
from tftransfer.methods.problem import Candidate
from tftransfer.methods.softmax_regression import ScaledModel, SoftmaxRegression
from tftransfer.methods.target_input import PREFIXES, target_input

_RATE = 0.08  # over the square root of the width


def descend(name, problem, control, slopes, *, units, steps):
    """Minimize a loss of a linear model with Adam, from the weights of the control.

    Args:
        name: Of the candidate, without the prefix that tells the units.
        problem: `Problem`.
        control: `Control`.
        slopes: Function from step number and `SoftmaxRegression` to the gradients by
            its weights `(width, num_classes)` and bias `(num_classes,)`.
        units: Of the target rows, `"source"` or `"target"`.
        steps: Number of steps.

    Returns:
        `Candidate`.

    Raises:
        ValueError: If `units` is something else.
    """
    rows, scaling = target_input(problem, units)
    found = minimize_by_adam(
        lambda step, parameters: slopes(step, SoftmaxRegression(*parameters)),
        [control.weights, control.bias],
        rate=_RATE / np.sqrt(rows.shape[1]),
        steps=steps,
    )
    model = SoftmaxRegression(*found)
    name = f"{PREFIXES[units]}.{name}"
    return Candidate(name, model(rows), ScaledModel(scaling, model))
