"""Predictions of one batch, wherever the model has its copies."""

import keras
import numpy as np

from tftransfer.distribution.scope import count_replicas


def predict_batch(model, inputs):
    """Predict one batch with Keras, each row once.

    `model.predict_on_batch` gives the whole batch to every replica, and all of their
    outputs come back.

    Args:
        model: `keras.Model`.
        inputs: Array or tensor, or a structure of them, with the batch first.

    Returns:
        Array, or structure of arrays, as the model gives it.
    """
    if keras.backend.backend() != "tensorflow":  # takes no tensors of TensorFlow
        inputs = keras.tree.map_structure(np.asarray, inputs)
    if count_replicas(model) == 1:
        return model.predict_on_batch(inputs)
    rows = len(keras.tree.flatten(inputs)[0])
    missing = -rows % count_replicas(model)
    if missing:  # a replica without a row fails: the last one is predicted again
        inputs = keras.tree.map_structure(lambda x: _repeat_last(x, missing), inputs)
    outputs = model.predict(inputs, batch_size=rows + missing, verbose=0)
    return keras.tree.map_structure(lambda x: x[:rows], outputs)


def _repeat_last(rows, count):
    rows = np.asarray(rows)
    return np.concatenate([rows, np.repeat(rows[-1:], count, axis=0)])
