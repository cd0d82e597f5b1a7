"""The mean of what a model says of several views of an image."""

import math

import keras
from keras import ops

from tftransfer.resizing import find_resizing, resize_images
from tftransfer.views.views import check_views, view_images


def average_outputs(outputs, task):
    """Average the outputs of several views: probabilities, or values.

    With `p_v` the probabilities of view `v` out of `n` (softmax, or sigmoid of each
    label), the result are logits whose probabilities are their mean:

        classification        log(sum_v p_v / n)
        sigmoid               log(sum_v p_v / n) - log(sum_v (1 - p_v) / n)

    computed from log-probabilities, so that nothing is lost where a network is sure.
    Probabilities and values of a regression are averaged as they are.

    Args:
        outputs: Float tensor `(views, rows, num_outputs)`.
        task: The `Task` of the model.

    Returns:
        Tensor `(rows, num_outputs)`: logits where the model gives logits.

    Example:

    >>> from tftransfer.tasks import Task
    >>> rows = np.log([[[0.8, 0.2]], [[0.4, 0.6]]])  # of two views
    >>> np.exp(average_outputs(rows, Task("classification", 2))).round(6).tolist()
    [[0.6, 0.4]]

    Reference:
        [Krizhevsky et al., 2012](https://papers.nips.cc/paper/4824), section 4.1:
        "averaging the predictions made by the network's softmax layer".
    """
    if outputs.shape[0] == 1:
        return outputs[0]
    if task.name == "regression" or not task.from_logits:
        return ops.mean(outputs, axis=0)
    if task.name == "classification" and not task.is_binary:
        return _log_of_mean(ops.log_softmax(outputs, axis=-1))
    there, not_there = ops.log_sigmoid(outputs), ops.log_sigmoid(-outputs)
    return _log_of_mean(there) - _log_of_mean(not_there)


def check_model(model, names):
    """Raise `ValueError` unless a model can see images in these views.

    Args:
        model: A `keras.Model`, or one that has it as `.model`; without a graph there
            is nothing to check before the first batch.
        names: What `read_views` returned.
    """
    plain = _with_graph(model)
    if plain is not None:
        check_views(names, _seen_shape(plain))


def find_resizing_of(model):
    """Return the `Resizing` that `model`, or its `.model`, begins with, or `None`."""
    plain = _with_graph(model)
    return None if plain is None else find_resizing(plain)


def resize_as(model, images):
    """Return images in the size that the network of `model` sees, where it tells."""
    resizing = find_resizing_of(model)
    return images if resizing is None else resize_images(images, resizing)


def build_averaging(model, names, task):
    """Build the model that averages a model over views, within one graph.

    Views are taken after the model's own resizing, and pass the model as one batch.

    Args:
        model: Functional or Sequential `keras.Model` of images; its layers are shared.
        names: Names of the views, see `read_views`.
        task: Its `Task`.

    Returns:
        Functional `keras.Model` with the input of `model`, and its output of shape
        `(batch, num_outputs)` in float32.

    Raises:
        ValueError: If the views do not fit what the model takes, or the size of the
            images is not known.

    Example:

    >>> from tftransfer.tasks import Task
    >>> inputs = keras.Input((2, 2, 1))
    >>> model = keras.Model(inputs, keras.layers.Flatten()(inputs)[:, :1])
    >>> both = build_averaging(model, ("identity", "flip"), Task("regression", 1))
    >>> image = np.array([[1.0, 3.0], [0.0, 0.0]]).reshape(1, 2, 2, 1)
    >>> float(both(image)[0, 0])
    2.0
    """
    check_model(model, names)
    shape = _seen_shape(model)
    if None in shape[1:3]:
        raise ValueError(
            "`augment` must be None for a model of images of any size. Received: "
            f"inputs of shape {shape}. Put tft.build_resizing(image_size) first."
        )
    inputs = keras.Input(model.inputs[0].shape[1:], dtype=model.inputs[0].dtype)
    resizing = find_resizing(model)
    images = inputs if resizing is None else resizing(inputs, training=False)
    views = [ops.cast(view_images(images, name), images.dtype) for name in names]
    outputs = model(ops.concatenate(views, axis=0), training=False)
    outputs = ops.cast(outputs, "float32")
    apart = ops.reshape(outputs, (len(names), -1, outputs.shape[-1]))
    return keras.Model(inputs, average_outputs(apart, task), name=model.name)


def _log_of_mean(logarithms):
    return ops.logsumexp(logarithms, axis=0) - math.log(logarithms.shape[0])


def _seen_shape(plain):
    """Shape of a batch as the network sees it, after resizing; () of several inputs."""
    if len(plain.inputs) != 1:
        return ()
    shape, resizing = tuple(plain.inputs[0].shape), find_resizing(plain)
    if resizing is None or len(shape) != 4:
        return shape
    return (shape[0], resizing.height, resizing.width, shape[3])


def _with_graph(model):
    for candidate in (model, getattr(model, "model", None)):
        if getattr(candidate, "inputs", None):
            return candidate
    return None
