"""What `solve_linear_head` accepts, checked before it starts."""

import keras
import numpy as np


def check_layer(dense, task):
    """Return the `l2` of a linear layer, or None where it has no regularizer.

    Raises:
        TypeError: If `dense` is no `Dense` layer.
        ValueError: If its output is not linear in its weights, if something else than
            an L2 penalty on the kernel is asked of it, or if its width is wrong.
    """
    if not isinstance(dense, keras.layers.Dense):
        raise TypeError(
            "`dense` must be a keras.layers.Dense layer. Received: dense of type "
            f"{type(dense).__name__}. Other heads are trained with fit."
        )
    if dense.units != task.num_outputs:
        raise ValueError(
            f"`dense` must have {task.num_outputs} units, as many as the task has "
            f"outputs. Received: dense.units={dense.units}. Build another layer."
        )
    for name, wanted in (
        ("activation", keras.activations.linear),
        ("bias_regularizer", None),
        ("activity_regularizer", None),
        ("kernel_constraint", None),
        ("bias_constraint", None),
    ):
        _check_setting(dense, name, wanted)
    if dense.built and (dense.lora_enabled or dense.quantization_mode):
        raise ValueError(
            "`dense` must have a plain kernel. Received: dense with "
            f"lora_enabled={dense.lora_enabled}, quantization_mode="
            f"{dense.quantization_mode!r}. Train it with fit."
        )
    return _read_l2(dense.kernel_regularizer)


def _check_setting(dense, name, wanted):
    value = getattr(dense, name)
    if value is not wanted:
        told = getattr(value, "__name__", type(value).__name__)
        raise ValueError(
            f"`dense` must be left without `{name}`: only a linear layer has "
            f"an optimum that can be solved for. Received: dense.{name}={told}. Leave "
            "it out, or train the head with fit."
        )


def _read_l2(regularizer):
    if regularizer is None:
        return None
    kinds = (keras.regularizers.L2, keras.regularizers.L1L2)
    l1 = float(getattr(regularizer, "l1", 0.0))
    if type(regularizer) not in kinds or l1:
        told = type(regularizer).__name__
        settings: dict = getattr(regularizer, "get_config", dict)()
        raise ValueError(
            "`dense` must have kernel_regularizer=None or keras.regularizers.L2(l2). "
            f"Received: dense.kernel_regularizer={told} with {settings}. "
            "Train the head with fit to keep another regularizer."
        )
    return float(regularizer.l2)


def check_features(dense, features):
    """Return `features` as a finite float32 or float64 array `(n, width)`.

    A matrix of `scipy.sparse` stays sparse, in compressed rows.

    Raises:
        ValueError: If they are not, or have not the width the layer was built for.
    """
    is_sparse = hasattr(features, "tocsr")
    features = features.tocsr() if is_sparse else np.asarray(features)
    if features.dtype not in ("float32", "float64"):
        features = features.astype("float32")
    width = dense.kernel.shape[0] if dense.built else None
    is_table = features.ndim == 2 and 0 not in features.shape
    if not is_table or features.shape[1] != (width or features.shape[1]):
        wanted = f"(n, {width or 'width'})"
        raise ValueError(
            f"`features` must be an array of shape {wanted} with n >= 1. "
            f"Received: features.shape={features.shape}. Pool or flatten them first."
        )
    if not np.isfinite(features.sum(dtype="float64")):
        raise ValueError(
            "`features` must be finite. Received: features with NaN or infinity. "
            "Look at the images and the backbone that they come from."
        )
    return features


def check_labels(labels, task, count):
    """Return labels as whole numbers `(n,)`, or `(n, num_outputs)` for other tasks.

    Raises:
        ValueError: If they do not fit the task, or are not as many as the features.
    """
    labels = np.asarray(labels)
    if len(labels.shape) == 0 or len(labels) != count:
        raise ValueError(
            f"`labels` must hold {count} rows, as many as the features. "
            f"Received: labels.shape={labels.shape}. Pass one row for each example."
        )
    if task.name == "classification":
        return _check_classes(labels, task)
    wanted = (count, task.num_outputs)
    if labels.shape != wanted and labels.shape != (count,) * (task.num_outputs == 1):
        raise ValueError(
            f"`labels` must have the shape {wanted}. "
            f"Received: labels.shape={labels.shape}. Pass one column for each output."
        )
    labels = labels.reshape(wanted).astype("float64")
    if task.name == "multi_label" and not np.isin(labels, (0, 1)).all():
        raise ValueError(
            "`labels` must be zeros and ones. Received: labels from "
            f"{labels.min()} to {labels.max()}. Round them, or train with fit."
        )
    if not np.isfinite(labels).all():
        raise ValueError(
            "`labels` must be finite. Received: labels with NaN or infinity. "
            "Leave those examples out."
        )
    return labels


def _check_classes(labels, task):
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    is_one_hot = labels.ndim == 2 and labels.shape[1] == task.num_classes
    if is_one_hot and np.array_equal(labels, np.eye(labels.shape[1])[labels.argmax(1)]):
        labels = labels.argmax(axis=1)
    allowed = np.arange(task.num_classes)
    if labels.ndim != 1 or not np.isin(labels, allowed).all():
        told = f"labels.shape={labels.shape}"
        if labels.ndim == 1 and labels.dtype.kind in "biuf":
            told = f"labels from {labels.min()} to {labels.max()}"
        raise ValueError(
            f"`labels` must be whole numbers from 0 to {task.num_classes - 1}, one for "
            f"each example, or one-hot rows. Received: {told}. "
            "Count classes from zero."
        )
    return labels.astype("int64")


def check_weights(sample_weight, count):
    """Return the weight of each row as float64 `(n,)`.

    Raises:
        ValueError: If there are not `count` of them, or one is negative or not finite.
    """
    if sample_weight is None:
        return np.ones(count)
    weights = np.asarray(sample_weight, "float64")
    if weights.shape == (count, 1):
        weights = weights[:, 0]
    is_vector = weights.shape == (count,) and np.isfinite(weights).all()
    if not is_vector or weights.min() < 0 or not weights.any():
        told = f"sample_weight.shape={weights.shape}"
        if weights.shape == (count,):
            told = f"sample_weight from {weights.min()} to {weights.max()}"
        raise ValueError(
            f"`sample_weight` must hold {count} finite numbers >= 0, one for each "
            f"example and not all zero. Received: {told}. Drop it, or correct it."
        )
    return weights
