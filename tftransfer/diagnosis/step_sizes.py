"""How far one step of a model's own optimizer moves its pretrained weights."""

import dataclasses
import time

import keras
import numpy as np
import tensorflow as tf

from tftransfer.diagnosis.case import take
from tftransfer.diagnosis.finding import NotChecked
from tftransfer.diagnosis.trained import head_layers, is_head_new
from tftransfer.diagnosis.untouched import left_untouched
from tftransfer.freezing.batch_norm import batch_norms
from tftransfer.freezing.recompiling import own_rate, plain_optimizer, renew_optimizer

_STEPS, _MOST_SECONDS, _ROWS = 3, 8.0, 32


@dataclasses.dataclass(frozen=True)
class StepSizes:
    """What a few steps did.

    Attributes:
        backbone: Median over the pretrained matrices that learn of the share of their
            norm by which one step moves them.
        num_weights: Number of these matrices.
        rate: Learning rate at its highest in an epoch, or `None`.
        is_head_new: Whether the head is as it was made.
        finite: Whether all losses were finite.
    """

    backbone: float
    num_weights: int
    rate: float | None
    is_head_new: bool
    finite: bool


def measure_steps(case):
    """Make a few steps with a copy of the model's optimizer, then undo them.

    Args:
        case: `Case`.

    Returns:
        `StepSizes`.

    Raises:
        NotChecked: If nothing pretrained learns, or steps cannot be made.
    """
    model = case.model
    pretrained = _pretrained_matrices(case)
    if keras.backend.backend() != "tensorflow":
        raise NotChecked("steps are measured with the TensorFlow backend")
    if not model.compiled or model.optimizer is None:
        raise NotChecked("the model is not compiled")
    loss = _loss_of(model)
    optimizer, rate = _copy_optimizer(case)
    before = [keras.ops.convert_to_numpy(x) for x in pretrained]
    with left_untouched(model):
        losses = _make_steps(case, loss, optimizer)
        after = [keras.ops.convert_to_numpy(x) for x in pretrained]
    moves = [
        np.linalg.norm(new - old) / max(float(np.linalg.norm(old)), 1e-12)
        for old, new in zip(before, after, strict=True)
    ]
    return StepSizes(
        backbone=float(np.median(moves)) / len(losses),
        num_weights=len(moves),
        rate=rate,
        is_head_new=is_head_new(model),
        finite=bool(np.all(np.isfinite(losses))),
    )


def _pretrained_matrices(case):
    """Matrices that learn below the head, where there are traces of training."""
    head = {id(weight) for x in head_layers(case.model) for weight in x.weights}
    variables = [x for x in case.model.weights if id(x) not in head]
    learning = {id(x) for x in case.model.trainable_variables}
    if not _has_trained(case, variables):
        raise NotChecked("no layer below the head has been trained before")
    matrices = [x for x in variables if id(x) in learning and len(x.shape) > 1]
    if not matrices:
        raise NotChecked("nothing pretrained learns")
    return matrices


def _has_trained(case, variables):
    """Whether weights are other than any layer makes them."""
    if case.pretrained is not None:
        return True
    inside = set(map(id, variables))
    norms = [x for x in batch_norms(case.model) if id(x.moving_variance) in inside]
    moved = [np.any(keras.ops.convert_to_numpy(x.moving_variance) != 1) for x in norms]
    biases = [
        np.any(keras.ops.convert_to_numpy(x) != 0)
        for x in variables
        if len(x.shape) == 1 and x.path.endswith("bias")
    ]
    return any(moved) or any(biases)


def _loss_of(model):
    loss = model._compile_config.config["loss"]
    if isinstance(loss, (list, tuple, dict)) or loss is None:
        raise NotChecked("the model has several losses, or none")
    if isinstance(loss, str) and loss in ("crossentropy", "ce"):
        raise NotChecked("the loss is named by an abbreviation")
    loss = keras.losses.get(loss)

    def measure(labels, outputs):
        return keras.ops.mean(loss(labels, outputs))

    return measure


def _copy_optimizer(case):
    """Copy the optimizer without its state, at its highest rate of an epoch."""
    optimizer, rate = plain_optimizer(case.model.optimizer), None
    try:
        rate = own_rate(optimizer)
        if callable(rate):
            steps = case.rows.num_batches or 100
            points = np.linspace(0, steps, 20).astype(int)
            rate = max(float(rate(int(step))) for step in points)
        copy = renew_optimizer(optimizer, rate)
    except (ValueError, TypeError, NotImplementedError):
        copy, rate = _renew(optimizer), None
    if hasattr(copy, "match"):
        copy.match(case.model)
    copy.build(case.model.trainable_variables)
    return copy, rate


def _renew(optimizer):
    try:
        return renew_optimizer(optimizer)
    except (ValueError, TypeError, NotImplementedError) as error:
        raise NotChecked(f"the optimizer cannot be copied: {error}") from None


def _make_steps(case, loss, optimizer):
    losses, start = [], time.monotonic()
    size = min(case.rows.usual_batch, _ROWS)
    labels = case.labels
    for step in range(_STEPS):
        rows = np.arange(step * size, (step + 1) * size) % len(labels)
        losses.append(_make_step(case, loss, optimizer, rows, labels))
        if time.monotonic() - start > _MOST_SECONDS or not np.isfinite(losses[-1]):
            break
    return losses


def _make_step(case, loss, optimizer, rows, labels):
    model = case.model
    model._clear_losses()
    with tf.GradientTape() as tape:
        outputs = model(take(case.rows.inputs, rows), training=True)
        value = loss(keras.ops.convert_to_tensor(labels[rows]), outputs)
        value += sum(model.losses)
    variables = model.trainable_variables
    gradients = tape.gradient(value, [x.value for x in variables])
    pairs = [
        (gradient, variable)
        for gradient, variable in zip(gradients, variables, strict=True)
        if gradient is not None
    ]
    optimizer.apply(*map(list, zip(*pairs, strict=True)))
    return float(value)
