"""What a Keras classifier says of data: features, probabilities, and the labels."""

import dataclasses

import keras
import numpy as np

from tftransfer.distribution.predicting import predict_batch
from tftransfer.freezing.blocks import FEATURES
from tftransfer.freezing.tensors import graph_tensors


@dataclasses.dataclass(frozen=True)
class Outputs:
    """What was read of one domain.

    Attributes:
        features: Float array `(n, width)`.
        probabilities: Float array `(n, num_classes)`.
        labels: Whole numbers `(n,)`, or `None`.
        inputs: Rows as the model takes them, or `None`.
    """

    features: np.ndarray
    probabilities: np.ndarray
    labels: np.ndarray | None
    inputs: np.ndarray | None


def reader_of(model):
    """Build the model that gives features and outputs, sharing the layers.

    Args:
        model: Functional `keras.Model`, or one that holds it as `.model`.

    Returns:
        `keras.Model` from the same input to features and outputs.

    Raises:
        ValueError: If there is no such graph.
    """
    holders = (model, getattr(model, "model", None))
    plain = next((each for each in holders if getattr(each, "outputs", None)), None)
    if plain is None:
        raise ValueError(
            "`model` must be a functional or sequential keras.Model. Received: "
            f"{model.name!r} of class {type(model).__name__}, which has no graph. "
            "Use the functions of tftransfer.validation.validators on its outputs."
        )
    # Not `get_layer(...).output`: that is of the graph before adapters were added.
    features = graph_tensors(plain).get(FEATURES, plain.layers[-1].input)
    return keras.Model(plain.inputs, [features, plain.outputs[0]])


def read_domain(reader, task, data, batch_size, labeled=False, with_inputs=False):
    """Run a reader over data.

    Args:
        reader: Of `reader_of`.
        task: `Task` of the model.
        data: Array of rows, `(x, y)` where labeled, or a batched dataset.
        batch_size: Of arrays.
        labeled: Whether to read labels; otherwise they are dropped.
        with_inputs: Whether to keep the rows themselves.

    Returns:
        `Outputs`.

    Raises:
        ValueError: If labeled data have no labels.
    """
    features, outputs, labels, inputs = [], [], [], []
    for x, y in _batches(data, batch_size, labeled):
        found = predict_batch(reader, x)
        features.append(np.reshape(found[0], (len(found[0]), -1)))
        outputs.append(np.reshape(found[1], (len(found[1]), -1)))
        if labeled:
            labels.append(_class_numbers(y))
        if with_inputs:
            inputs.append(np.asarray(x))
    joined = np.concatenate(outputs).astype(np.float32)
    return Outputs(
        np.concatenate(features),
        keras.ops.convert_to_numpy(task.probabilities(joined)),
        np.concatenate(labels) if labeled else None,
        np.concatenate(inputs) if with_inputs else None,
    )


def _batches(data, batch_size, labeled):
    """Yield `(x, y)`, with `None` for labels that are not asked for."""
    if hasattr(data, "element_spec"):  # a dataset
        for batch in data:
            parts = batch if isinstance(batch, (tuple, list)) else (batch,)
            _check_labeled(len(parts) > 1 or not labeled, type(data).__name__)
            yield parts[0], parts[1] if labeled else None
        return
    x, y = data, None
    if labeled:
        _check_labeled(isinstance(data, tuple) and len(data) == 2, type(data).__name__)
        x, y = data
    for start in range(0, len(x), batch_size):
        rows = slice(start, start + batch_size)
        yield x[rows], None if y is None else y[rows]


def _check_labeled(good, kind):
    if not good:
        raise ValueError(
            "`source` must be (x, y) or a dataset of such pairs. "
            f"Received: source without labels, of type {kind}. Pass labels of the "
            "source; it is the target that has none."
        )


def _class_numbers(labels):
    labels = np.asarray(labels)
    if labels.ndim == 2 and labels.shape[1] > 1:
        return labels.argmax(axis=1)
    return labels.reshape(-1).astype(np.int64)
