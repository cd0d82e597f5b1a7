"""Checks of labels against a model's output width and loss."""

import keras
import numpy as np


def check_labels(name, labels, task, loss_name, num_examples):
    """Raise `ValueError` unless labels fit what the model predicts.

    Args:
        name: Name of the data, for messages.
        labels: Labels of a batch, or of all arrays.
        task: `Task` of the model.
        loss_name: Name of the model's loss function.
        num_examples: Number of images the labels belong to, or less.

    Raises:
        ValueError: If there is not one label for each image, or labels are of the
            wrong shape, kind or range, or not finite.
    """
    if keras.tree.is_nested(labels):
        return  # several outputs: `fit` decides
    labels = keras.ops.convert_to_numpy(labels)
    _check_kind(name, labels, task)
    if labels.ndim == 0 or len(labels) < num_examples:
        raise ValueError(
            f"`{name}` must hold one label for each image. Received: {name} with "
            f"{num_examples} images and labels of shape {labels.shape}. Batch images "
            "and labels together."
        )
    if task.name == "regression":
        _check_width(name, labels, task, "values")
    elif task.name == "multi_label":
        _check_width(name, labels, task, "labels")
        _check_range(name, labels, 1, "0 or 1 for each label")
    elif task.is_binary:
        _check_width(name, labels, task, "column")
        _check_range(name, labels, 1, "0 or 1, for a model with one logit")
    elif loss_name.startswith("sparse"):
        _check_sparse(name, labels, task)
    elif "categorical" in loss_name:
        _check_one_hot(name, labels, task)


def class_ids(labels, task):
    """Class numbers of labels: themselves, rounded, or the place of the one."""
    labels = keras.ops.convert_to_numpy(labels)
    if labels.ndim > 1 and labels.shape[-1] > 1:
        return labels.argmax(axis=-1).ravel()
    return np.round(labels).astype("int64").ravel()


def _check_kind(name, labels, task):
    if labels.dtype.kind not in "biuf" and labels.dtype.name != "bfloat16":
        raise ValueError(
            f"`{name}` must hold labels that are numbers. Received: {name} with "
            f"labels of dtype {labels.dtype}, such as {labels.flat[0]!r}. Number the "
            "classes from 0, for example with keras.layers.StringLookup."
        )
    if not np.isfinite(labels.astype("float64")).all():
        raise ValueError(
            f"`{name}` must hold finite labels. Received: {name} with NaN or infinite "
            f"labels for a {task.name} model. Leave out examples without a label."
        )


def _check_width(name, labels, task, what):
    """Keras would stretch labels of one column over all outputs without a word."""
    width = 1 if labels.ndim == 1 else labels.shape[-1]
    if labels.ndim > 2 or width != task.num_outputs:
        raise ValueError(
            f"`{name}` must hold {task.num_outputs} {what} for each image, as many as "
            f"the model has outputs. Received: {name} with labels of shape "
            f"{labels.shape}. Build the model with that many outputs, or select the "
            "columns."
        )


def _check_range(name, labels, largest, wanted):
    if labels.size and not 0 <= labels.min() <= labels.max() <= largest:
        raise ValueError(
            f"`{name}` must hold labels {wanted}. Received: {name} with labels from "
            f"{labels.min()} to {labels.max()}. Number the classes from 0, or build "
            "the model with more outputs."
        )


def _check_sparse(name, labels, task):
    if labels.ndim > 1 and labels.shape[-1] > 1:
        raise ValueError(
            f"`{name}` must hold one class number for each image: the model's loss is "
            f"sparse. Received: {name} with labels of shape {labels.shape}, as one-hot "
            "labels are. Take tf.argmax(labels, axis=-1), or compile the model with "
            "keras.losses.CategoricalCrossentropy."
        )
    if not np.array_equal(labels, np.round(labels)):
        raise ValueError(
            f"`{name}` must hold whole class numbers. Received: {name} with labels "
            f"such as {labels[labels != np.round(labels)][0]!r}. Keras would cut them "
            "to whole numbers: round them yourself, or build the model with "
            'task="regression".'
        )
    last = task.num_outputs - 1
    _check_range(name, labels, last, f"from 0 to {last}, the model's classes")


def _check_one_hot(name, labels, task):
    if labels.ndim != 2 or labels.shape[-1] != task.num_outputs:
        raise ValueError(
            f"`{name}` must hold one-hot labels of {task.num_outputs} columns: the "
            f"model's loss is not sparse. Received: {name} with labels of shape "
            f"{labels.shape}. Compile the model with "
            "keras.losses.SparseCategoricalCrossentropy for class numbers."
        )
