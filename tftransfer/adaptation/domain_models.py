"""Keras models of a domain: copies of a backbone, and a linear head put on them."""

import dataclasses
import functools

import keras
import numpy as np

from tftransfer.adaptation.linear_student import distill
from tftransfer.freezing.depth import set_trainable_depth
from tftransfer.methods.softmax_regression import (
    one_hot,
    softmax,
)
from tftransfer.models import build_transfer_model

HALF = 0.5  # of the backbone's parameters


def build_copy(backbone, *, num_classes, trainable_depth=None, seed=0):
    """Build a compiled model on a copy of a backbone.

    Args:
        backbone: `Backbone`; training the copy leaves it as it is.
        num_classes: Number of outputs.
        trainable_depth: See `set_trainable_depth`; None for the last blocks with half
            of the parameters, or all of them where the network has no blocks.
        seed: Whole number >= 0.

    Returns:
        `keras.Model` with a linear head.
    """
    body = keras.models.clone_model(backbone.model)
    body.set_weights(backbone.model.get_weights())
    model = build_transfer_model(
        dataclasses.replace(backbone, model=body), num_classes=num_classes, seed=seed
    )
    if trainable_depth is not None:
        set_trainable_depth(model, trainable_depth)
        return model
    try:
        set_trainable_depth(model, HALF)
    except ValueError:  # no blocks to count
        set_trainable_depth(model, "all")
    return model


def fit_head(rows, labels, penalty):
    """Fit a linear layer to labeled features.

    Args:
        rows: Float array `(n, width)`.
        labels: Whole numbers `(n,)` from 0.
        penalty: As of the control.

    Returns:
        Kernel `(width, num_classes)` and bias `(num_classes,)`, for rows as they are.
    """
    targets = one_hot(labels, int(labels.max()) + 1)
    return distill(np.asarray(rows, "float64"), targets, penalty)


def set_head(model, kernel, bias, classes):
    """Put a linear layer into the head; classes that it lacks are never called.

    Args:
        model: Transfer model with a linear head.
        kernel: Float array `(width, len(classes))`.
        bias: Float array `(len(classes),)`.
        classes: Whole numbers: which outputs of the model these are.
    """
    least, num_classes = bias.min() - 1e3, model.output_shape[-1]
    whole = np.zeros((len(kernel), num_classes)), np.full(num_classes, least)
    whole[0][:, classes], whole[1][classes] = kernel, bias
    model.layers[-1].set_weights([part.astype("float32") for part in whole])


def head_on_raw_features(problem, control, source, target):
    """Return the control as a linear layer on features as the backbone gives them.

    Args:
        problem: `Problem`, whose rows may be a linear reduction of the features.
        control: Its `Control`.
        source: Float array `(n, width)` of features.
        target: Float array `(m, width)`.

    Returns:
        Kernel `(width, num_classes)` and bias `(num_classes,)`. Of reduced features
        they are the ones with the least norm that agree on both domains.
    """
    if problem.source.shape[1] == source.shape[1]:
        kernel = control.weights / control.scaling.spread[:, None]
        return kernel, control.bias - control.scaling.mean @ kernel
    rows = np.concatenate([source, target]).astype("float64")
    known = np.concatenate([problem.scaled_source, problem.target_by_source])
    logits = control.logits(known)
    mean, level = rows.mean(axis=0), logits.mean(axis=0)
    kernel = np.linalg.lstsq(rows - mean, logits - level, rcond=None)[0]
    return kernel, level - mean @ kernel


def class_probabilities(logits, classes):
    """Return probabilities among some classes alone.

    Args:
        logits: Float array `(rows, num_outputs)`.
        classes: Whole numbers: the outputs that count.

    Returns:
        Float array `(rows, len(classes))`.
    """
    return softmax(np.asarray(logits, "float64")[:, classes])


@dataclasses.dataclass(frozen=True)
class StudentOnFeatures:
    """What a network says of rows, said again from features of another network.

    A linear layer on the frozen backbone's features learns it on the target rows when
    it is first asked; the network itself, which reads inputs, says it better.

    Attributes:
        rows: Float array `(m, width)`, target rows.
        probabilities: Float array `(m, num_classes)` that the network gives them.
    """

    rows: np.ndarray
    probabilities: np.ndarray

    @functools.cached_property
    def _layer(self):
        return distill(self.rows, self.probabilities)

    def __call__(self, rows):
        """Return probabilities `(k, num_classes)` of rows `(k, width)`."""
        kernel, bias = self._layer
        return softmax(rows @ kernel + bias)
