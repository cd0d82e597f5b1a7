"""The temperature of a model from held-out data, and what it does to its errors."""

import dataclasses
import functools

import keras

from tftransfer.calibration.temperature import (
    fit_temperature,
    negative_log_likelihood,
    scale_outputs,
    to_logits,
)
from tftransfer.columns import align_columns
from tftransfer.evaluation.evaluate import read_outputs
from tftransfer.evaluation.predictions import evaluate_predictions
from tftransfer.evaluation.reliability import (
    brier_score,
    confidence_and_outcome,
    reliability_bins,
)
from tftransfer.evaluation.result import Evaluation
from tftransfer.writing import write_json

_NAMES = {
    "negative_log_likelihood": "negative log likelihood",
    "expected_calibration_error": "calibration error, bins of equal width",
    "equal_mass_calibration_error": "calibration error, bins of equal mass",
    "brier_score": "Brier score",
}


@dataclasses.dataclass(frozen=True, eq=False)
class Calibration:
    """A temperature, and errors before and after, made by `calibrate`.

    `print(calibration)` shows a table; `tft.plot_reliability(calibration, path)` draws
    promises against what came.

    Attributes:
        temperature: Float that logits are divided by; above 1: the model was too sure.
        task: `"classification"` or `"multi_label"`.
        num_fitted: Rows that the temperature was fitted on.
        num_measured: Rows that the errors were measured on.
        measured_apart: Whether these are other rows. On the same ones the errors after
            flatter, if little: one number was fitted.
        figures: Dictionary from name to `(before, after)`.
        before: `Evaluation` of the model as it is.
        after: `Evaluation` with the temperature; same decisions, other probabilities.
    """

    temperature: float
    task: str
    num_fitted: int
    num_measured: int
    measured_apart: bool
    figures: dict
    before: Evaluation = dataclasses.field(repr=False)
    after: Evaluation = dataclasses.field(repr=False)

    def __str__(self):
        where = "other rows" if self.measured_apart else "the rows it was fitted on"
        rows = [["", "before", "after"]] + [
            [_NAMES[name], *(f"{value:.4f}" for value in pair)]
            for name, pair in self.figures.items()
        ]
        return "\n".join(
            [
                f"temperature {self.temperature:.4f}, fitted on {self.num_fitted:,} "
                "rows",
                f"errors on {self.num_measured:,} rows: {where}",
                *align_columns(rows),
            ]
        )

    def to_dict(self):
        """Return temperature and errors as plain Python values."""
        return {
            "temperature": self.temperature,
            "task": self.task,
            "num_fitted": self.num_fitted,
            "num_measured": self.num_measured,
            "measured_apart": self.measured_apart,
            "figures": {name: list(pair) for name, pair in self.figures.items()},
        }

    def save(self, path):
        """Write `to_dict()` as JSON; a reader never sees half a file.

        Args:
            path: File to write or replace; missing folders are made.
        """
        write_json(path, self.to_dict())


def calibrate(
    model,
    validation_data,
    *,
    test_data=None,
    task=None,
    class_names=None,
    augment=None,
):
    """Fit a temperature to a classifier, and tell its errors before and after.

    A network that was trained for long is surer than it is right. Dividing its logits
    by one number, fitted on rows it has not learned from, mends most of that and
    changes no decision. The model is left as it is.

    Errors: negative log likelihood; expected calibration error with 15 bins of equal
    width and of equal mass, of the largest probability (of several labels: of each);
    Brier score.

    Args:
        model: A compiled `keras.Model` for classification or several labels, or an
            uncompiled one with `task`. Whether it gives logits or probabilities is read
            from its loss and last layer.
        validation_data: Labeled data to fit the temperature on, not trained on: see
            `evaluate`.
        test_data: Other labeled data to measure the errors on; `None` measures them on
            `validation_data`.
        task: `"classification"` or `"multi_label"` where the loss of the model does
            not tell.
        class_names: See `evaluate`.
        augment: See `evaluate`: the temperature is then one for averages over views,
            which are less sure than a single view.

    Returns:
        A `Calibration`.

    Raises:
        TypeError: If the model or data are of a wrong kind.
        ValueError: If the task is regression, the data do not fit, or no temperature is
            the best one, as where every row is right.

    Example:

    >>> rows = np.array([[0.0, 9.0], [0.0, 9.0], [9.0, 0.0], [9.0, 0.0]], "float32")
    >>> labels = np.array([1, 0, 0, 0])  # sure of each row, three of four right
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Softmax()])
    >>> data = tf.data.Dataset.from_tensor_slices((rows, labels)).batch(2)
    >>> found = calibrate(model, data, task="classification")
    >>> errors = found.figures["expected_calibration_error"]
    >>> print(f"{found.temperature:.2f}: {errors[0]:.2f} -> {errors[1]:.2f}")
    8.19: 0.25 -> 0.00

    Reference:
        [Guo et al., 2017](https://arxiv.org/abs/1706.04599), section 4.2.
    """
    read = functools.partial(
        read_outputs, model, class_names=class_names, task=task, augment=augment
    )
    kind, labels, outputs = read(validation_data)
    if kind.name == "regression":
        raise ValueError(
            "`model` must be for classification or several labels. Received: "
            "task='regression'. Its values are no probabilities: there is nothing to "
            "calibrate."
        )
    temperature = fit_temperature(labels, _logits(outputs, kind), task=kind.name)
    num_fitted, measured = len(labels), validation_data
    if test_data is not None:
        measured = test_data
        kind, labels, outputs = read(test_data)
    if class_names is None:
        class_names = getattr(measured, "class_names", None)
    before, errors_before = _measure(labels, outputs, 1.0, kind, class_names)
    after, errors_after = _measure(labels, outputs, temperature, kind, class_names)
    return Calibration(
        temperature=temperature,
        task=kind.name,
        num_fitted=num_fitted,
        num_measured=len(labels),
        measured_apart=test_data is not None,
        figures={name: (errors_before[name], errors_after[name]) for name in _NAMES},
        before=before,
        after=after,
    )


def _logits(outputs, kind):
    return keras.ops.convert_to_numpy(to_logits(outputs, kind))


def _measure(labels, outputs, temperature, kind, class_names):
    """Return the `Evaluation` at a temperature, and the errors by name."""
    evaluation = evaluate_predictions(
        labels,
        keras.ops.convert_to_numpy(scale_outputs(outputs, temperature, kind)),
        class_names=class_names,
        task=kind.name,
    )
    probabilities = evaluation.probabilities
    confidence, outcome = confidence_and_outcome(
        evaluation.labels, probabilities, kind.name
    )
    logits = _logits(outputs, kind) / temperature
    return evaluation, {
        "negative_log_likelihood": negative_log_likelihood(
            labels, logits, task=kind.name
        ),
        "expected_calibration_error": reliability_bins(confidence, outcome).error,
        "equal_mass_calibration_error": reliability_bins(
            confidence, outcome, equal_mass=True
        ).error,
        "brier_score": brier_score(evaluation.labels, probabilities),
    }
