"""Models that prepare raw data inside `fit`, as KerasHub's tasks do."""

import keras
import tensorflow as tf

from tftransfer.features.examples import BATCH_SIZE


def preprocesses(model):
    """Whether the model's own `fit` prepares the data first, with `preprocessor`."""
    return hasattr(model, "preprocess_samples") and model.preprocessor is not None


def has_own_fit(model):
    """Whether the class of a model overrides `fit` in a way that is not known here."""
    is_own = type(model).fit is not keras.Model.fit
    return is_own and not hasattr(model, "preprocess_samples")


def preprocess(model, data, batch_size=None):
    """Prepare data as the model's `fit` would.

    Args:
        model: KerasHub task with a `preprocessor`.
        data: Batched `tf.data.Dataset`, or array or tuple of arrays.
        batch_size: Rows in a batch, of arrays.

    Returns:
        `tf.data.Dataset` of what the model's graph takes.
    """
    if not isinstance(data, tf.data.Dataset):
        data = tf.data.Dataset.from_tensor_slices(data).batch(batch_size or BATCH_SIZE)
    return data.map(model.preprocess_samples, tf.data.AUTOTUNE).prefetch(2)
