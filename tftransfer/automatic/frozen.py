"""The first thing to try: a linear head on what a frozen network gives."""

import dataclasses
from typing import Any

import keras
import numpy as np

from tftransfer.automatic.result import Trial
from tftransfer.features.extract_features import extract_features
from tftransfer.models import build_transfer_model
from tftransfer.training.linear_head import solve_linear_head

# C of scikit-learn's logistic regression, its default first.
STRENGTHS = (1.0, 0.1, 0.01, 10.0, 0.001)
_SHARE = 0.05  # of the time left, that one more penalty may take


@dataclasses.dataclass(eq=False)
class Frozen:
    """A network with a head learned on its features.

    Attributes:
        handle: What `load_backbone` takes, or a `Backbone`.
        name: Of the network, with its image size.
        model: Compiled model, its backbone as pretrained.
        trial: `Trial`.
        rate: Rows a second that the network runs on this machine.
        image_size: `(height, width)` that it resizes images to, or `None`.
    """

    handle: Any
    name: str
    model: keras.Model
    trial: Trial
    rate: float
    image_size: tuple | None


def try_frozen(handle, name, backbone, rate, problem, clock, extracting):
    """Learn a head on stored features; the strength of its penalty by validation loss.

    Args:
        handle: What the backbone was loaded from.
        name: To show.
        backbone: `Backbone`.
        rate: Rows a second that it runs.
        problem: `Problem`.
        clock: `Clock`.
        extracting: Dict of further arguments of `extract_features`.

    Returns:
        `Frozen`.
    """
    known = extract_features(backbone.model, problem.plain, **extracting)
    judged = extract_features(backbone.model, problem.validation, **extracting)
    heads = _solve_heads(known, np.asarray(judged.features), problem, clock)
    kernel, bias, outputs = min(heads, key=lambda head: problem.loss(head[2]))
    model = build_transfer_model(
        backbone,
        num_classes=problem.task.num_outputs,
        task=problem.task.name,
        seed=problem.seed,
    )
    model.layers[-1].set_weights([kernel, bias])
    predicted = np.asarray(problem.task.probabilities(outputs))
    score = problem.score(predicted)
    trial = Trial(f"{name}, frozen", score, clock.spent, predicted, (name,))
    return Frozen(handle, name, model, trial, rate, backbone.image_size)


def _solve_heads(known, judged, problem, clock):
    """Yield kernel, bias and outputs for each penalty, while there is time."""
    rows, labels = np.asarray(known.features), np.asarray(known.labels)
    begun = clock.spent
    for number, strength in enumerate(STRENGTHS):
        each = (clock.spent - begun) / number if number else 0.0
        if number and each > _SHARE * clock.left:
            return
        penalty = keras.regularizers.L2(1 / (2 * strength * len(rows)))
        dense = keras.layers.Dense(
            problem.task.num_outputs, kernel_regularizer=penalty, dtype="float32"
        )
        solve_linear_head(dense, rows, labels, problem.task)
        kernel, bias = dense.get_weights()
        yield kernel, bias, judged @ kernel + bias
