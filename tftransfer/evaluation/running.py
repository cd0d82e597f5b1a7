"""A model over batches of rows, in each view of them: outputs as arrays."""

import hashlib
import inspect
import json

import keras
import numpy as np

from tftransfer.distribution.predicting import predict_batch
from tftransfer.engines.interface import EngineError
from tftransfer.features.examples import ChangedExamples
from tftransfer.features.extract_features import extract_all, read_in_order
from tftransfer.freezing.graph import has_graph
from tftransfer.freezing.parts import output_cut
from tftransfer.views import views
from tftransfer.views.averaging import find_resizing_of, resize_as
from tftransfer.views.views import IDENTITY, check_views, view_images


def check_is_model(model):
    """Raise `TypeError` unless `model` is a `keras.Model`."""
    if not isinstance(model, keras.Model):
        raise TypeError(
            "`model` must be a keras.Model. "
            f"Received: model of type {type(model).__name__}. "
            "For predictions from elsewhere use evaluate_predictions."
        )


def run_batch(model, inputs, names=(IDENTITY,)):
    """Run a model over one batch in each view, with Keras.

    Args:
        model: A `keras.Model`.
        inputs: What it takes.
        names: Of the views, see `read_views`.

    Returns:
        float32 array `(views, rows, outputs)`.

    Raises:
        ValueError: If the model has several outputs or no flat one, or the views do
            not fit the inputs.
    """
    if names == (IDENTITY,):
        return _run(model, inputs)[np.newaxis]
    seen = resize_as(model, inputs)
    check_views(names, getattr(seen, "shape", ()))
    batches = (keras.ops.convert_to_numpy(view_images(seen, name)) for name in names)
    return np.stack([_run(model, batch) for batch in batches])


def run_in_engine(engine, model, dataset, names=(IDENTITY,), *, batch_size=32):
    """Run a model over all rows in each view, in an engine, into the store.

    Args:
        engine: Name of an engine, or `"auto"`.
        model: Functional model, or one that has it as `.model`.
        dataset: As `extract_features` takes it.
        names: Of the views, see `read_views`.
        batch_size: Rows in a batch, of arrays.

    Returns:
        Tuple of an array `(views, rows, outputs)` and the labels, `None` without.

    Raises:
        EngineError: If the engine cannot run the model, or several views would be read
            in different orders.
        ValueError: If the model has no graph.
    """
    cut = _whole(model)
    examples = read_in_order(dataset, batch_size)
    if len(names) > 1 and (examples.shuffles or examples.randomness):
        raise EngineError(
            "`engine` must be None where `augment` reads data several times and they "
            "come in another order each time. Received: "
            f"{examples.randomness or 'data that are shuffled'}. Leave shuffling out."
        )
    stored = extract_all(
        cut,
        [_see(examples, model, name) for name in names],
        engine=engine,
        dtype="float32",
        directory=None,
        verbose="auto",
    )
    outputs = np.stack([np.asarray(each.features) for each in stored])
    labels = stored[0].labels
    return outputs.reshape(*outputs.shape[:2], -1), labels


def _see(examples, model, name):
    if name == IDENTITY:
        return examples
    resizing = find_resizing_of(model)
    settings = resizing and {**resizing.get_config(), "name": None}
    told = [name, settings, inspect.getsource(views)]
    identity = hashlib.sha256(json.dumps(told, default=str).encode()).hexdigest()
    return ChangedExamples(
        examples, lambda images: view_images(resize_as(model, images), name), identity
    )


def _run(model, inputs):
    outputs = predict_batch(model, inputs)
    if not isinstance(outputs, np.ndarray) or outputs.ndim not in (1, 2):
        shapes = keras.tree.map_structure(lambda output: output.shape, outputs)
        raise ValueError(
            "`model` must have one output of shape (batch, outputs). "
            f"Received: outputs of shape {shapes}. Use a model with one pooled output."
        )
    return outputs.reshape(len(outputs), -1).astype(np.float32)


def _whole(model):
    """Return the cut at the output of a model, which has it all below."""
    plain = model if has_graph(model) else getattr(model, "model", None)
    cut = output_cut(plain) if has_graph(plain) else None
    if cut is None:
        raise ValueError(
            "`engine` must be None for a model that is not functional or has its own "
            f"call. Received: an engine for {model.name!r} of class "
            f"{type(model).__name__}. Leave it out."
        )
    return cut
