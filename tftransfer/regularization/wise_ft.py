"""WiSE-FT: the best mix of the weights before and after fine-tuning."""

import dataclasses

import keras
import numpy as np
from keras import ops

from tftransfer.checks import did_you_mean
from tftransfer.freezing.blocks import split_model
from tftransfer.freezing.graph import graph_of
from tftransfer.regularization.learning_blocks import read_values

_HIGHER_IS_BETTER = ("accuracy", "auc", "precision", "recall", "f1", "r2")


@dataclasses.dataclass(frozen=True)
class Interpolation:
    """What `interpolate_weights` found; `print` shows it as a table.

    Attributes:
        coefficient: The one chosen: 0 are the pretrained weights, 1 the tuned ones.
        monitor: Name of what it was chosen by.
        table: List of dicts, one for each coefficient, with `coefficient` and what
            `model.evaluate` returned.
    """

    coefficient: float
    monitor: str
    table: list

    def __str__(self):
        names = list(self.table[0])
        widths = [max(len(name), 8) + 2 for name in names]
        heading = zip(names, widths, strict=True)
        lines = ["".join(name.rjust(width) for name, width in heading)]
        for row in self.table:
            cells = zip(row.values(), widths, strict=True)
            line = "".join(f"{value:.4g}".rjust(width) for value, width in cells)
            is_chosen = row["coefficient"] == self.coefficient
            lines.append(line + ("  <- chosen" if is_chosen else ""))
        return "\n".join(lines)

    __repr__ = __str__


def interpolate_weights(
    model,
    pretrained_weights,
    validation_data,
    *,
    coefficients=None,
    monitor="auto",
    with_head=True,
    verbose=0,
):
    """Set a fine-tuned model to the best mix of its weights before and after.

    Between the two lie weights that keep what the pretrained network knew of other
    data and often do better on the task too. No training: one evaluation for each
    coefficient.

    Formula, for every weight, `w0` before and `w1` after fine-tuning:

        w = (1 - coefficient) * w0 + coefficient * w1

    Take the weights before where the head knows something already, after a stage in
    which only the head learns: `start = model.get_weights()` between two calls of
    `fine_tune`. A head of random weights has nothing to mix in: `with_head=False`.

    Args:
        model: Compiled `keras.Model`, fine-tuned.
        pretrained_weights: List of arrays, as `model.get_weights()` gave them before.
        validation_data: What `model.evaluate` takes: a dataset, or a tuple of arrays.
        coefficients: Numbers in 0..1; `None` is 0, 0.1, ..., 1.
        monitor: Name of the loss or metric to choose by; `"auto"` is the accuracy where
            the model has one, else the loss. Among equals the lower loss counts, then
            the larger coefficient.
        with_head: Whether the head is mixed too; else it stays as it was tuned.
        verbose: As of `evaluate`.

    Returns:
        `Interpolation`; the model has the chosen weights. Where anything fails it has
        those it came with.

    Raises:
        ValueError: If the weights are not those of the model, a coefficient is out of
            range, or `monitor` is nothing that the model shows.

    Example:

    >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> model.set_weights([np.array([[4.0]]), np.zeros(1)])
    >>> start = [np.array([[0.0]]), np.zeros(1)]
    >>> data = np.ones((4, 1)), np.ones((4, 1))
    >>> found = tft.interpolate_weights(model, start, data, coefficients=(0, 0.25, 1))
    >>> found.coefficient, float(model.get_weights()[0][0, 0])
    (0.25, 1.0)

    Reference:
        [Wortsman et al., 2022](https://arxiv.org/abs/2109.01903), equation 1.
    """
    coefficients = _read_coefficients(coefficients)
    tuned = read_values(model.weights)
    _check_weights(pretrained_weights, tuned)
    mixes = _mixed(model, with_head)
    data = validation_data if isinstance(validation_data, tuple) else (validation_data,)

    def set_mix(coefficient):
        for place in mixes:
            old, new = (np.asarray(x[place], "float64") for x in (start, tuned))
            value = (1 - coefficient) * old + coefficient * new
            _assign(model.weights[place], value)

    start = [np.asarray(x) for x in pretrained_weights]
    try:
        table = []
        for coefficient in coefficients:
            set_mix(coefficient)
            found = model.evaluate(*data, return_dict=True, verbose=verbose)
            table.append({"coefficient": coefficient, **found})
            monitor = _read_monitor(monitor, found)
        best = _best(table, monitor)
        set_mix(best)
    except BaseException:
        for variable, value in zip(model.weights, tuned, strict=True):
            variable.assign(value)
        raise
    return Interpolation(best, monitor, table)


def _mixed(model, with_head):
    """Places of the weights that are mixed: numbers, not counters."""
    head: set[int] = set()
    if not with_head:
        layers = split_model(graph_of(model))[1]
        head = {id(variable) for layer in layers for variable in layer.weights}
    return [
        place
        for place, variable in enumerate(model.weights)
        if "float" in keras.backend.standardize_dtype(variable.dtype)
        and id(variable) not in head
    ]


def _assign(variable, value):
    variable.assign(ops.cast(value.astype("float32"), variable.dtype))


def _read_coefficients(coefficients):
    if coefficients is None:
        coefficients = [round(0.1 * number, 1) for number in range(11)]
    try:
        values = [float(x) for x in coefficients]
    except (TypeError, ValueError):
        values = []
    if not values or not all(0 <= x <= 1 for x in values):
        raise ValueError(
            "`coefficients` must be a list of at least one number in 0..1. Received: "
            f"coefficients={coefficients!r}. 0 are the pretrained weights, 1 the tuned "
            "ones: pass for example (0, 0.5, 1)."
        )
    return values


def _check_weights(pretrained, tuned):
    if not isinstance(pretrained, (list, tuple)):
        raise TypeError(
            "`pretrained_weights` must be what model.get_weights() gave before "
            f"fine-tuning. Received: {type(pretrained).__name__}. Keep "
            "start = model.get_weights()."
        )
    shapes = [tuple(np.shape(x)) for x in pretrained]
    expected = [tuple(x.shape) for x in tuned]
    if shapes != expected:
        pairs = zip(shapes, expected, strict=False)
        places = [i for i, (one, other) in enumerate(pairs) if one != other]
        where = f", first at number {places[0]}" if places else ""
        raise ValueError(
            "`pretrained_weights` must be what model.get_weights() gave before "
            f"fine-tuning, {len(expected)} arrays. Received: {len(shapes)} arrays of "
            f"other shapes{where}. Keep start = model.get_weights()."
        )


def _read_monitor(monitor, found):
    if monitor == "auto":
        accuracies = [name for name in found if name.endswith("accuracy")]
        return (*accuracies, "loss")[0]
    if monitor not in found:
        raise ValueError(
            f'`monitor` must be "auto" or one of {sorted(found)}. Received: '
            f"monitor={monitor!r}. {did_you_mean(monitor, found)} Compile "
            "the model with that metric."
        )
    return monitor


def _best(table, monitor):
    sign = -1 if any(word in monitor for word in _HIGHER_IS_BETTER) else 1

    def rank(row):
        return sign * row[monitor], row.get("loss", 0.0), -row["coefficient"]

    return min(table, key=rank)["coefficient"]
