"""Probabilities or values from any Keras model, in several views of each image."""

import keras
import numpy as np
import tensorflow as tf

from tftransfer.checks import check_whole_number
from tftransfer.engines.interface import EngineError
from tftransfer.evaluation.running import check_is_model, run_batch, run_in_engine
from tftransfer.features.extract_features import read_in_order
from tftransfer.tasks import infer_task
from tftransfer.views.averaging import average_outputs, check_model
from tftransfer.views.views import read_views


def predict(model, data, *, augment=None, task=None, engine=None, batch_size=32):
    """Predict probabilities or values; with `augment` the mean over views of each row.

    Test-time augmentation: a network that was trained with mirrored or turned images
    is asked about several views of each, and its probabilities are averaged. This costs
    as many passes as there are views. It may make a right answer wrong, and helps where
    the views leave the meaning as it is, which you know: a mirrored 2 is none. Measure
    it with `evaluate(..., augment=...)` on validation data. `export_model` takes the
    same `augment`.

    Views are of the image as the network sees it, resized:

    - `"flip"` left to right, `"flip_vertical"` top to bottom, `"rotate180"`;
    - for squares `"rotate90"` and `"rotate270"` (counterclockwise), `"transpose"` and
      `"transverse"` (mirrored at a diagonal);
    - `"shift_left"`, `"shift_right"`, `"shift_up"`, `"shift_down"` by a sixteenth of
      the side, filled up with the mirrored border; `"zoom"`: the middle, without a
      sixteenth on each side, enlarged.

    Averaged are softmax or sigmoid probabilities, not logits, or the values of a
    regression.

    Args:
        model: A compiled `keras.Model` with one output of shape `(batch, outputs)`, or
            an uncompiled one with `task`; a `tft.AlignedModel` too.
        data: Array, tuple of arrays `(x, y)`, batched `tf.data.Dataset` or
            `keras.utils.PyDataset`; labels and weights are left out. Datasets of our
            loaders are read in the order of their rows and without random changes.
        augment: `None` takes each image as it is. 2: and its `"flip"`; 4: and
            `"flip_vertical"` and `"rotate180"`; 8: all eight symmetries of a square. Or
            a list of views beside the image itself, such as `["flip", "zoom"]`;
            `"flip+zoom"` is a view that is mirrored and enlarged.
        task: `"classification"`, `"multi_label"` or `"regression"` where the loss of
            the model does not tell.
        engine: `None` predicts with Keras; `"auto"` or the name of an engine as in
            `evaluate`, one stored result for each view.
        batch_size: Rows in a batch, where arrays are given.

    Returns:
        float32 array `(rows, num_classes)`: probabilities, two columns for a single
        logit; or the values of a regression.

    Raises:
        EngineError: If the engine named cannot run the model.
        TypeError: If an argument is of the wrong kind.
        ValueError: If the views do not fit the model, as a quarter turn of images that
            are no squares or any view of a text, or the data are empty or endless.

    Example:

    >>> inputs = keras.Input((2, 2, 1))
    >>> logits = keras.layers.Flatten()(inputs)[:, :2]  # of the upper row
    >>> model = keras.Model(inputs, logits)
    >>> image = np.log([[[[0.9], [0.1]], [[1.0], [1.0]]]])
    >>> print(tft.predict(model, image, task="classification").round(2))
    [[0.9 0.1]]
    >>> print(tft.predict(model, image, task="classification", augment=2).round(2))
    [[0.5 0.5]]

    Reference:
        [Krizhevsky et al., 2012](https://papers.nips.cc/paper/4824), section 4.1, for
        the mean of softmax outputs;
        [Shanmugam et al., 2021](https://arxiv.org/abs/2011.11156) for where it harms.
    """
    check_is_model(model)
    check_whole_number("batch_size", batch_size)
    names = read_views(augment)
    check_model(model, names)
    infer_task(model, task, num_outputs=2)  # whether it can be told, before any work
    _check_finite(data)
    outputs = _run(model, data, names, engine, batch_size)
    kind = infer_task(model, task, num_outputs=outputs.shape[-1])
    probabilities = kind.probabilities(average_outputs(outputs, kind))
    return keras.ops.convert_to_numpy(probabilities)


def _run(model, data, names, engine, batch_size):
    if engine is not None:
        try:
            return run_in_engine(engine, model, data, names, batch_size=batch_size)[0]
        except EngineError:
            if engine != "auto":
                raise
    examples = read_in_order(data, batch_size)
    outputs = []
    for inputs, _ in examples.batches():
        _check_batched(model, inputs)
        outputs.append(run_batch(model, inputs, names))
    if not outputs:
        raise ValueError(
            "`data` must hold at least one batch. Received: none. Check its split, its "
            "filters, and that it was not read up before."
        )
    return np.concatenate(outputs, axis=1)


def _check_finite(data):
    is_dataset = isinstance(data, tf.data.Dataset)
    if is_dataset and int(data.cardinality()) == tf.data.INFINITE_CARDINALITY:
        raise ValueError(
            "`data` must be finite. Received: an endless dataset. Remove its repeat()."
        )


def _check_batched(model, inputs):
    plain = getattr(model, "model", model)
    expected = getattr(plain, "inputs", None) or []
    shape = getattr(inputs, "shape", None)
    if len(expected) == 1 and shape and len(shape) == len(expected[0].shape) - 1:
        raise ValueError(
            "`data` must hold batches of rows. Received: a batch of shape "
            f"{tuple(shape)} for a model that takes {tuple(expected[0].shape)}. Call "
            "dataset.batch(32), or give one image as image[np.newaxis]."
        )
