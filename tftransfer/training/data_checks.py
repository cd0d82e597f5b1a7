"""Checks of training data on the first batch, before any long work."""

import keras
import numpy as np
import tensorflow as tf

from tftransfer.distribution.scope import check_divides, check_last, check_scope
from tftransfer.freezing.graph import graph_of
from tftransfer.tasks import infer_task
from tftransfer.training.label_checks import check_labels, class_ids


def check_compiled(model):
    """Raise `ValueError` unless `model` is compiled, and of the strategy in use.

    Raises:
        TypeError: If it is no `keras.Model`.
    """
    if not isinstance(model, keras.Model):
        raise TypeError(
            "`model` must be a keras.Model. "
            f"Received: model of type {type(model).__name__}. Make one with "
            "build_transfer_model."
        )
    if not model.compiled or model.optimizer is None or model.loss is None:
        raise ValueError(
            "`model` must be compiled with an optimizer and a loss. Received: "
            f"model {model.name!r}, {_lacking(model)}. Call model.compile(optimizer, "
            "loss, metrics) first; build_transfer_model gives a compiled model."
        )
    check_scope(model)


def _lacking(model):
    if not model.compiled:
        return "not compiled"
    return f"compiled with optimizer={model.optimizer!r} and loss={model.loss!r}"


def check_data(model, data, *, several_classes):
    """Raise `ValueError` unless the first batch can be trained on.

    Opens one iterator over the data; where the first batch holds a single class, it
    reads on until it meets a second one. A shuffled `tf.data.Dataset` gives another
    order each time it is opened, so the epochs that follow see other orders than
    without this check.

    Args:
        model: Compiled `keras.Model`.
        data: `TrainingData`.
        several_classes: Whether the labels must be of more than one class.

    Raises:
        ValueError: If the data are not batched, empty or endless, images do not fit
            the model's input or are not finite, labels do not fit its output and
            loss, or all labels are of one class.
    """
    _check_structure(model, data)
    task = _task_of(model)
    batches = iter(data.batches())
    first = next(batches, None)
    if first is None:
        raise _emptiness(data)
    images, labels = first[:2]
    _check_images(model, data.name, images)
    check_divides(model, data.name, _length(images))
    if data.is_arrays:
        rest = _length(data.source[0]) % _length(images)
        check_last(model, data.name, rest)
    if task is not None:
        # Arrays are at hand as a whole, so all of their labels are looked at.
        labels = data.source[1] if data.is_arrays else labels
        check_labels(data.name, labels, task, _loss_name(model), _length(images))
        if several_classes and task.name == "classification":
            _check_several_classes(data.name, [first], batches, task)


def _check_structure(model, data):
    name = data.name
    if isinstance(data.source, tf.data.Dataset):
        _check_spec(model, name, data.source.element_spec)
    if data.num_batches == 0:
        raise _emptiness(data)
    if data.is_endless:
        raise ValueError(
            f"`{name}` must come to an end: an epoch is one pass over it. "
            f"Received: {name} that repeats endlessly. Leave out .repeat(), or cut it "
            "with .take(number_of_batches)."
        )


def _emptiness(data):
    return ValueError(
        f"`{data.name}` must hold at least one batch. Received: {data.name} without "
        "any. Check the path or split it was read from, and filters and "
        "drop_remainder=True, which may have left nothing."
    )


def _check_spec(model, name, spec):
    if not isinstance(spec, tuple) or len(spec) not in (2, 3):
        raise ValueError(
            f"`{name}` must give (images, labels) or (images, labels, weights). "
            f"Received: {name} with elements {spec}. Map it to a tuple, for example "
            'with .map(lambda x: (x["image"], x["label"])).'
        )
    images = keras.tree.flatten(spec[0])[0]
    expected = _input_shape(model)
    label_ranks = [part.shape.rank for part in keras.tree.flatten(spec[1])]
    is_example = expected is not None and images.shape.rank == len(expected) - 1
    if is_example or 0 in label_ranks:
        raise ValueError(
            f"`{name}` must be batched. Received: {name} with single examples of "
            f"shape {tuple(images.shape)}. Call .batch(32) on it."
        )


def _input_shape(model):
    try:
        return tuple(graph_of(model).inputs[0].shape)
    except ValueError:
        return None


def _task_of(model):
    try:
        return infer_task(model)
    except ValueError:
        return None  # several outputs or a loss of the user's own: `fit` decides


def _loss_name(model):
    function = getattr(model.loss, "fn", model.loss)
    return str(getattr(function, "__name__", getattr(function, "name", function)))


def _length(images):
    return int(np.shape(keras.tree.flatten(images)[0])[0])


def _check_images(model, name, images):
    expected = _input_shape(model)
    for part in keras.tree.flatten(images):  # a pair of domains has two
        shape = tuple(np.shape(part))
        if expected is not None and not _fits(shape, expected):
            raise ValueError(
                f"`{name}` must hold batches of shape {expected}, None for any size. "
                f"Received: {name} with a batch of shape {shape}. Prepare it as the "
                "model was built: grey images have 1 channel, color images 3, with "
                "transparency 4."
            )
        _check_finite(name, part)


def _fits(shape, expected):
    return len(shape) == len(expected) and all(
        wanted is None or wanted == got
        for wanted, got in zip(expected[1:], shape[1:], strict=True)
    )


def _check_finite(name, images):
    pixels = keras.ops.convert_to_numpy(images)
    if not np.issubdtype(pixels.dtype, np.floating):
        return
    broken = ~np.isfinite(pixels.astype("float32"))
    if broken.any():
        rows = np.unique(np.nonzero(broken)[0])[:5].tolist()
        raise ValueError(
            f"`{name}` must hold finite numbers. Received: {name} with "
            f"{int(broken.sum())} NaN or infinite values in the first batch, rows "
            f"{rows}. Look for a division by zero, or a wrong file, where they are "
            "made."
        )


def _check_several_classes(name, seen, batches, task):
    """Read on only as long as a single class was met: usually one batch."""
    found = set()
    for batch in _chain(seen, batches):
        found |= set(class_ids(batch[1], task).tolist())
        if len(found) > 1:
            return
    raise ValueError(
        f"`{name}` must hold examples of at least two classes. Received: {name} with "
        f"labels of class {sorted(found)} only. Check how the labels are made, and "
        "shuffle before splitting data sorted by class."
    )


def _chain(first, rest):
    yield from first
    yield from rest
