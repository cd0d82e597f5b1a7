"""Features that are the same for every row, and outputs that are not finite."""

import numpy as np

from tftransfer.diagnosis.finding import ERROR, WARNING, Finding, NotChecked
from tftransfer.diagnosis.trained import head_layers

DEAD = 0.5
_FEWEST_ROWS = 16


def find_dead_features(case):
    """Find features that do not depend on the row, for more than half of their width.

    Looked at is what the layers of the head take, where layers with matrices lie below.
    """
    head = [x for x in head_layers(case.model) if x.weights]
    inside = {id(weight) for layer in head for weight in layer.weights}
    if not any(id(x) not in inside and len(x.shape) > 1 for x in case.model.weights):
        raise NotChecked("no layers with matrices lie below the head")
    found = case.taken_by_head
    if not found or case.rows.num_kept < _FEWEST_ROWS:
        raise NotChecked("the head takes no vectors, or there are too few rows")
    shares = {name: _share_constant(rows) for name, rows in found.items()}
    worst = max(shares, key=shares.__getitem__)
    if shares[worst] <= DEAD:
        return []
    return [_dead_finding(worst, shares[worst], found[worst])]


def find_numbers_not_finite(case):
    """Find NaN and infinite numbers among the outputs."""
    outputs = case.outputs
    if outputs.dtype.kind != "f" or np.isfinite(outputs).all():
        return []
    return [
        Finding(
            "not_finite",
            ERROR,
            "The model predicts numbers that are not finite.",
            {"share of outputs": float(np.mean(~np.isfinite(outputs)))},
            "Loss and gradients are NaN from the first such row on.",
            "[x.path for x in model.weights if not np.isfinite(x).all()]  # and look "
            "for NaN in the data",
        )
    ]


def _share_constant(rows):
    rows = rows.astype("float64")
    spread = rows.max(axis=0) - rows.min(axis=0)
    return float(np.mean(spread <= 1e-6 * max(float(np.abs(rows).max()), 1e-12)))


def _dead_finding(name, share, rows):
    return Finding(
        "dead_features",
        ERROR if share > 0.99 else WARNING,
        f"{share:.0%} of what layer {name!r} takes is the same for every row.",
        {
            "share constant": share,
            "width": rows.shape[1],
            "share zero": float(np.mean(np.all(rows == 0, axis=0))),
            "rows": len(rows),
        },
        "These features tell nothing and, behind ReLU, get no gradient to come back.",
        'layers.Dense(width, activation="leaky_relu")  # with a smaller learning rate; '
        "check the scale of the inputs",
    )
