"""What a written model gives, set against what the live one gives."""

import numpy as np

# Largest accepted difference, as a share of the spread of the live outputs.
BOUNDS = {"float32": 1e-4, "float16": 5e-3}
# Of int8: share of equal decisions, or loss of accuracy on the same rows.
EQUAL_DECISIONS, LOST_ACCURACY = 0.99, 0.01
# Of a regression in int8, which decides nothing: root mean square difference, as a
# share of the spread.
INT8_REGRESSION = 0.01
RAW = ("logits", "values", "probabilities")


def compare_outputs(live, served, task_name, labels=None):
    """Compare the outputs of a written model with those of the live one.

    Spread: `max_k (max_i live[i, k] - min_i live[i, k])`, the widest range of an output
    `k` over the rows `i`. Outputs are logits, or values of a regression, or
    probabilities where the model gives those itself.

    Args:
        live: Dictionary of arrays `(rows, …)`: `"logits"` and `"probabilities"`, or
            `"probabilities"`, or `"values"`.
        served: The same, of the written model; it may hold more.
        task_name: `"classification"`, `"multi_label"` or `"regression"`.
        labels: Array of what is true: class numbers `(rows,)`; for several labels or
            values `(rows, k)`. `None` where it is not known.

    Returns:
        Dictionary: `max_difference`; `relative_difference`, that divided by the
        spread; `rms_relative_difference`, the root mean square divided by it;
        `equal_decisions`, the share of equal classes (or present labels), `None` for
        a regression; with labels `accuracy` and `live_accuracy`, or
        `mean_absolute_error` and `live_mean_absolute_error`.

    Example:

    >>> live = {"probabilities": np.array([[0.9, 0.1], [0.4, 0.6]])}
    >>> served = {"probabilities": np.array([[0.9, 0.1], [0.6, 0.4]])}
    >>> compared = compare_outputs(live, served, "classification", np.array([0, 1]))
    >>> compared["equal_decisions"], compared["accuracy"]
    (0.5, 0.5)
    >>> round(compared["relative_difference"], 6)  # 0.2 of a spread of 0.5
    0.4
    """
    raw = next(name for name in RAW if name in live)
    expected, given = np.asarray(live[raw], "float64"), np.asarray(served[raw])
    difference = np.abs(given.reshape(expected.shape) - expected)
    spread = float(np.max(np.ptp(expected, axis=0)))
    compared = {
        "max_difference": float(np.max(difference)),
        "relative_difference": _divide(np.max(difference), spread),
        "rms_relative_difference": _divide(np.sqrt(np.mean(difference**2)), spread),
        "equal_decisions": None,
    }
    if task_name == "regression":
        return compared | _measure_errors(live, served, labels)
    decided = [decide(each["probabilities"], task_name) for each in (live, served)]
    compared["equal_decisions"] = float(np.mean(decided[0] == decided[1]))
    if labels is not None:
        right = [float(np.mean(each == labels)) for each in decided]
        compared["live_accuracy"], compared["accuracy"] = right
    return compared


def decide(probabilities, task_name):
    """Return the most probable classes `(rows,)`, or which labels are present.

    Example:

    >>> decide(np.array([[0.2, 0.8]]), "classification")
    array([1])
    >>> decide(np.array([[0.2, 0.8]]), "multi_label")
    array([[False,  True]])
    """
    if task_name == "multi_label":
        return np.asarray(probabilities) >= 0.5
    return np.argmax(probabilities, axis=-1)


def find_fault(compared, precision):
    """Tell what is outside the bounds of a precision, `None` if nothing is.

    Args:
        compared: What `compare_outputs` returned.
        precision: `"float32"`, `"float16"` or `"int8"`.

    Example:

    >>> find_fault({"relative_difference": 2e-4}, "float32")
    'differs by 0.0002 of the spread, more than 0.0001'
    >>> find_fault({"equal_decisions": 0.995}, "int8") is None
    True
    """
    if precision in BOUNDS:
        difference, bound = compared["relative_difference"], BOUNDS[precision]
        if difference <= bound:  # NaN is not
            return None
        return f"differs by {difference:.2g} of the spread, more than {bound:g}"
    equal = compared["equal_decisions"]
    if equal is None:
        difference = compared["rms_relative_difference"]
        if difference <= INT8_REGRESSION:
            return None
        return (
            f"differs by {difference:.2g} of the spread (root mean square), "
            f"more than {INT8_REGRESSION:g}"
        )
    lost = compared.get("live_accuracy", np.inf) - compared.get("accuracy", 0.0)
    if equal >= EQUAL_DECISIONS or round(lost, 12) <= LOST_ACCURACY:
        return None
    accuracy = f" and {lost:.1%} of accuracy lost" if np.isfinite(lost) else ""
    return f"{equal:.1%} equal decisions, fewer than {EQUAL_DECISIONS:.0%}{accuracy}"


def _measure_errors(live, served, labels):
    if labels is None:
        return {}
    errors = [np.mean(np.abs(each["values"] - labels)) for each in (live, served)]
    return {
        "live_mean_absolute_error": float(errors[0]),
        "mean_absolute_error": float(errors[1]),
    }


def _divide(difference, spread):
    if difference == 0:
        return 0.0
    return float(difference) / spread if spread else float("inf")
