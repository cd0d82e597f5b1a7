"""Any Keras model over a dataset, once, to every figure of its task."""

import keras
import numpy as np
import tensorflow as tf

from tftransfer.engines.interface import EngineError
from tftransfer.evaluation.arrays import read_labels
from tftransfer.evaluation.predictions import evaluate_predictions, name_classes
from tftransfer.evaluation.running import check_is_model, run_batch, run_in_engine
from tftransfer.tasks import infer_task
from tftransfer.views.averaging import average_outputs, check_model
from tftransfer.views.views import read_views


def evaluate(model, dataset, *, class_names=None, task=None, engine=None, augment=None):
    """Measure a model on labeled data: figures with intervals, for each class too.

    Works on any Keras model with one output of shape `(batch, outputs)`; whether it
    gives logits or probabilities is read from its loss and last layer. The data is
    read once. `evaluate_predictions` lists and defines the figures.

    Args:
        model: A compiled `keras.Model`, or an uncompiled one with `task`.
        dataset: Batched `tf.data.Dataset` of `(inputs, labels)`, or another finite
            iterable of such batches.
        class_names: One str for each class, label or value; None takes
            `dataset.class_names` where there is one.
        task: `"classification"`, `"multi_label"` or `"regression"` where the loss
            of the model does not tell.
        engine: `None` predicts with Keras. `"auto"` or the name of an engine predicts
            as `extract_features` does: in the fastest engine that gives the same
            values, stored, so that the same model and data take seconds the next time.
            Worth it from some thousand rows on; for functional models. Where no engine
            gives the same values, as of a model in half precision, `"auto"` is Keras.
        augment: Views of each image whose probabilities, or values, are averaged, see
            `predict`; `None`: the image alone.

    Returns:
        An `Evaluation`.

    Raises:
        EngineError: If the engine named cannot run the model.
        TypeError: If `model` or `dataset` is of the wrong kind.
        ValueError: If the dataset is empty, endless, unbatched, weighted or of domain
            pairs, a label lies outside the classes, an output is NaN, or `augment` does
            not fit the model.

    Example:

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Softmax()])
    >>> rows = tf.data.Dataset.from_tensor_slices(([[0.0, 5.0], [3.0, 0.0]], [1, 1]))
    >>> evaluate(model, rows.batch(2), task="classification").metrics["accuracy"]
    0.5
    """
    kind, labels, outputs = read_outputs(
        model,
        dataset,
        class_names=class_names,
        task=task,
        engine=engine,
        augment=augment,
    )
    if class_names is None:
        class_names = getattr(dataset, "class_names", None)
    return evaluate_predictions(
        labels,
        np.asarray(kind.probabilities(outputs)),
        class_names=class_names,
        task=kind.name,
    )


def read_outputs(
    model, dataset, *, class_names=None, task=None, engine=None, augment=None
):
    """Run a model over labeled data, and bring both to one form.

    Args:
        model: See `evaluate`.
        dataset: See `evaluate`.
        class_names: See `evaluate`; only checked.
        task: See `evaluate`.
        engine: See `evaluate`.
        augment: See `evaluate`.

    Returns:
        Tuple of the `Task`, the labels as `read_labels` gives them, and the outputs of
        the model, a float64 array `(n, num_outputs)`.

    Raises:
        EngineError: See `evaluate`.
        TypeError: See `evaluate`.
        ValueError: See `evaluate`.
    """
    check_is_model(model)
    _check_dataset(dataset)
    names = read_views(augment)
    check_model(model, names)
    if class_names is None:
        class_names = getattr(dataset, "class_names", None)
    kind, labels, outputs = None, [], []
    for batch_outputs, batch_labels in _predict_all(model, dataset, engine, names):
        if kind is None:
            kind = infer_task(model, task, num_outputs=batch_outputs.shape[-1])
            name_classes(class_names, kind.num_classes)
        # Labels are read here too, so that a bad one ends the run at its batch.
        labels.append(read_labels(batch_labels, kind))
        outputs.append(np.asarray(average_outputs(batch_outputs, kind)))
    if kind is None:
        raise ValueError(
            "`dataset` must hold at least one batch. Received: an empty dataset. "
            "Check its split, its filters, and that it was not read up before."
        )
    # In float64 two confident rows rarely round to the same probability (ROC-AUC).
    exact = np.concatenate(outputs).astype(np.float64)
    return kind, np.concatenate(labels), exact


def _check_dataset(dataset):
    wanted = "`dataset` must be a finite, batched dataset of (inputs, labels)"
    if isinstance(dataset, (tuple, dict, str, np.ndarray)) or not (
        hasattr(dataset, "__iter__") or isinstance(dataset, keras.utils.PyDataset)
    ):
        raise TypeError(
            f"{wanted}. Received: dataset of type {type(dataset).__name__}. Arrays: "
            "tf.data.Dataset.from_tensor_slices((inputs, labels)).batch(32)."
        )
    if isinstance(dataset, tf.data.Dataset):
        if int(dataset.cardinality()) == tf.data.INFINITE_CARDINALITY:
            raise ValueError(
                f"{wanted}. Received: an endless dataset. Remove its repeat()."
            )


def _batches(dataset):
    if isinstance(dataset, keras.utils.PyDataset):
        return (dataset[index] for index in range(len(dataset)))
    return iter(dataset)


def _split_batch(batch):
    if not isinstance(batch, (tuple, list)) or len(batch) != 2:
        held = len(batch) if isinstance(batch, (tuple, list)) else type(batch).__name__
        raise ValueError(
            f"`dataset` must give (inputs, labels). Received: batches of {held}. Every "
            "row counts once here: drop weights with map(lambda x, y, w: (x, y))."
        )
    return batch


def _check_batched(model, inputs, labels):
    plain = getattr(model, "model", model)
    expected = getattr(plain, "inputs", None) or []
    if isinstance(inputs, (tuple, list)) and len(expected) == 1:
        raise ValueError(
            "`dataset` must give one input for a model with one input. "
            f"Received: {len(inputs)} inputs. From domain pairs evaluate the "
            "source or the target dataset alone."
        )
    rank = len(expected[0].shape) if len(expected) == 1 else None
    given = getattr(inputs, "ndim", rank) if not isinstance(inputs, dict) else rank
    if np.ndim(labels) == 0 or (rank is not None and given == rank - 1):
        raise ValueError(
            "`dataset` must be batched. "
            f"Received: labels of shape {np.shape(labels)}, inputs of shape "
            f"{getattr(inputs, 'shape', None)}. Call dataset.batch(32)."
        )


def _predict_all(model, dataset, engine, names):
    """Yield outputs and labels, batch by batch, or of all batches from an engine."""
    for batch in _batches(dataset):
        inputs, labels = _split_batch(batch)
        _check_batched(model, inputs, labels)
        outputs = run_batch(model, inputs, names)
        if engine is not None:
            try:
                yield run_in_engine(engine, model, dataset, names)
                return
            except EngineError:
                if engine != "auto":
                    raise
                engine = None  # none gives the same values: Keras then
        yield outputs, labels
