"""Losses and metrics that take outputs for what they are not."""

import keras
import numpy as np

from tftransfer.diagnosis.finding import ERROR, WARNING, Finding, NotChecked

_EXTREME = 1e3
_ROWS = 16


def find_logits_mismatch(case):
    """Find a loss for logits on probabilities, and the reverse.

    What the outputs are is measured: probabilities lie in 0..1, those of several
    classes sum to one, and they do so for absurd inputs too.
    """
    wants_logits, name = _loss_of(case.model)
    gives = _gives_probabilities(case, name)
    if gives and wants_logits:
        return [
            _finding(case, "probabilities", "from_logits=True", "from_logits=False")
        ]
    if not gives and not wants_logits:
        return [_finding(case, "logits", "from_logits=False", "from_logits=True")]
    return []


def find_metric_threshold(case):
    """Find an accuracy that cuts logits at one half."""
    wants_logits, name = _loss_of(case.model)
    if not name.startswith("binary") or _gives_probabilities(case, name):
        raise NotChecked("the outputs are no logits of two classes")
    outputs = case.outputs
    metrics = keras.tree.flatten(case.model._compile_config.config["metrics"] or [])
    cut = [x for x in metrics if _cuts_at_half(x, outputs)]
    between = float(np.mean((outputs > 0) & (outputs < 0.5)))
    if not cut or not wants_logits:
        return []
    return [
        Finding(
            "metric_threshold",
            WARNING,
            "Accuracy takes logits for probabilities: it cuts them at 0.5, not at 0.",
            {"threshold": 0.5, "share of outputs between": between},
            "The accuracy that is printed is not that of the model, and what is chosen "
            "by it is not the best.",
            'metrics=[keras.metrics.BinaryAccuracy(name="accuracy", threshold=0.0)]',
        )
    ]


def _loss_of(model):
    """Whether the loss wants logits, and the name of its function."""
    if not model.compiled:
        raise NotChecked("the model is not compiled")
    loss = model._compile_config.config["loss"]
    if isinstance(loss, (list, tuple, dict)) and len(loss) == 1:
        (loss,) = loss.values() if isinstance(loss, dict) else loss
    loss = keras.losses.get(loss) if isinstance(loss, str) else loss
    function = getattr(loss, "fn", loss)
    name = str(getattr(function, "__name__", ""))
    is_stock = str(getattr(function, "__module__", "")).startswith("keras.")
    if "crossentropy" not in name or not is_stock:
        raise NotChecked("the loss is no cross-entropy of Keras")
    config = loss.get_config() if hasattr(loss, "get_config") else {}
    return bool(config.get("from_logits", False)), name


def _gives_probabilities(case, name):
    outputs = case.outputs
    if outputs.ndim < 2 or outputs.dtype.kind != "f":
        raise NotChecked("the outputs are not (rows, classes)")
    if not np.isfinite(outputs).all():
        raise NotChecked("the outputs are not finite")
    if name.startswith("binary") and np.ptp(outputs) < 1e-6:
        raise NotChecked("all outputs are equal")
    if not _are_probabilities(outputs, name):
        return False
    inputs = case.inputs
    if not isinstance(inputs, np.ndarray) or inputs.dtype.kind not in "iuf":
        return True
    some = inputs[:_ROWS].astype("float32")
    extremes = [case.predict(factor * some) for factor in (_EXTREME, -_EXTREME)]
    return all(_are_probabilities(x, name) for x in extremes)


def _are_probabilities(outputs, name):
    finite = outputs[np.isfinite(outputs)]
    if finite.size < outputs.size:
        return True  # nothing is told by what overflowed
    inside = finite.min() >= -1e-6 and finite.max() <= 1 + 1e-6
    if name.startswith("binary"):
        return inside
    return inside and np.allclose(outputs.sum(axis=-1), 1, atol=1e-2)


def _cuts_at_half(metric, outputs):
    if isinstance(metric, str):
        is_accuracy = metric.lower() in ("accuracy", "acc", "binary_accuracy")
        return is_accuracy and (outputs.shape[-1] == 1 or "binary" in metric)
    is_binary = isinstance(metric, keras.metrics.BinaryAccuracy)
    return is_binary and metric.get_config().get("threshold") == 0.5


def _finding(case, gives, takes, repair):
    sums = case.outputs.sum(axis=-1)
    evidence = {
        "lowest output": float(case.outputs.min()),
        "highest output": float(case.outputs.max()),
        "mean sum of a row": float(sums.mean()),
    }
    loss = case.model._compile_config.config["loss"]
    name = loss if isinstance(loss, str) else type(loss).__name__
    class_name = {
        "categorical_crossentropy": "CategoricalCrossentropy",
        "sparse_categorical_crossentropy": "SparseCategoricalCrossentropy",
        "binary_crossentropy": "BinaryCrossentropy",
    }.get(name, name)
    return Finding(
        "logits_mismatch",
        ERROR,
        f"The model gives {gives}, and its loss {name} is called with {takes}.",
        evidence,
        "Gradients are wrong: softmax is taken twice, or logits are clipped to 0..1. "
        "Training is slow or stands still, and probabilities mean nothing.",
        f"loss=keras.losses.{class_name}({repair})",
    )
