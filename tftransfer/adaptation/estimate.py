"""An estimate of the accuracy on a target without labels, with an interval."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Estimate:
    """An accuracy and where it lies in nine of ten shifts.

    Attributes:
        value: Float in 0..1.
        low: Lower end of the 90 % interval.
        high: Upper end.
    """

    value: float
    low: float
    high: float

    def __str__(self):
        return (
            f"{100 * self.value:.1f} % "
            f"(90 % interval {100 * self.low:.1f} to {100 * self.high:.1f})"
        )


def estimate_accuracies(problem, control, candidates):
    """Estimate the accuracy of the control and of what was chosen.

    Args:
        problem: `Problem`.
        control: `Control`.
        candidates: Dict from name to float array `(m, num_classes)`, with `"control"`
            and `"chosen"` among them.

    Returns:
        Dict with `Estimate` for `"control"` and `"chosen"`.
    """
    held = control.held_out
    accuracy = float(np.mean(held.argmax(axis=1) == problem.labels))
    threshold = np.quantile(held.max(axis=1), 1 - accuracy)
    found = {}
    for name in ("control", "chosen"):
        value = float(np.mean(candidates[name].max(axis=1) >= threshold))
        found[name] = Estimate(value, max(value - 0.1, 0.0), min(value + 0.1, 1.0))
    return found
