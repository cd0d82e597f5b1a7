"""Where a model still knows places: its last feature map, and what reads it."""

import itertools

import keras
from keras import ops

from tftransfer.freezing.graph import graph_of
from tftransfer.freezing.parts import single_tensor_cuts

_AVERAGE = keras.layers.GlobalAveragePooling2D
_SAME_IN_INFERENCE = (keras.layers.Dropout, keras.layers.Identity)
_TO_PROBABILITIES = ("sigmoid", "softmax")


def find_map(model):
    """Find the `Cut` at the last feature map of a network.

    Args:
        model: Functional or Sequential `keras.Model` of images, or a wrapper that has
            one as `.model`. Nested models are entered.

    Returns:
        `Cut` whose tensor has shape `(batch, height, width, channels)`, made by a
        convolution or above one, with more than one place.

    Raises:
        ValueError: If `model` has no graph, does not take one batch of images and give
            one vector, or has no such map.

    Example:

    >>> from tftransfer.explanation.places import find_map
    >>> network = keras.applications.MobileNetV2(weights=None, input_shape=(64, 64, 3))
    >>> find_map(network).tensor.shape
    (None, 2, 2, 1280)
    """
    plain = graph_of(model)
    _check_takes_images(plain)
    cuts = [cut for cut in single_tensor_cuts(plain) if _is_map(cut)]
    if not cuts:
        raise ValueError(
            "`model` must have a feature map (batch, height, width, channels) through "
            "which everything goes, made by convolutions and larger than one place. "
            f"Received: {plain.name!r}, which has none. Networks side by side, hub "
            "modules and transformers cannot be explained so."
        )
    return cuts[-1]


def linear_head(cut):
    """Return the dense layer that reads the averages of a feature map, if one does.

    Args:
        cut: `Cut` of `find_map`.

    Returns:
        `keras.layers.Dense`, or `None` where between map and output there is anything
        but global average pooling, this layer, and what does nothing in inference or
        turns logits into probabilities.

    Example:

    >>> from tftransfer.explanation.places import find_map, linear_head
    >>> network = keras.applications.MobileNetV2(weights=None, input_shape=(64, 64, 3))
    >>> linear_head(find_map(network)).name
    'predictions'
    """
    if not _is_chain(cut.calls_above):
        return None
    operations = [
        call.operation for call in cut.calls_above if not _is_same(call.operation)
    ]
    if not getattr(operations[-1], "weights", ()) and gives_probabilities(
        operations[-1]
    ):
        operations.pop()
    if [type(each) for each in operations] != [_AVERAGE, keras.layers.Dense]:
        return None
    dense = operations[1]
    return dense if _activation(dense) in ("linear", *_TO_PROBABILITIES) else None


def class_scores(cut, feature_map):
    """Compute what a model makes of a feature map, before softmax or sigmoid.

    Args:
        cut: `Cut` of `find_map`.
        feature_map: Tensor, as `cut.run_below` gives it.

    Returns:
        Tensor `(batch, num_outputs)`.
    """
    last = cut.calls_above[-1].operation
    if not gives_probabilities(last):
        return cut.run_above(feature_map, training=False)
    below = cut.run_until(feature_map, last)
    if not hasattr(last, "kernel"):
        return below
    scores = ops.matmul(below, last.kernel)
    return scores if last.bias is None else scores + last.bias


def gives_probabilities(operation):
    """Whether a layer or operation ends in softmax or sigmoid."""
    return _activation(operation) in _TO_PROBABILITIES


def _activation(operation):
    last = getattr(operation, "activation", operation)
    return getattr(last, "__name__", type(last).__name__).lower()


def _is_same(operation):
    is_linear = isinstance(operation, keras.layers.Activation) and (
        _activation(operation) == "linear"
    )
    return is_linear or isinstance(operation, _SAME_IN_INFERENCE)


def _is_chain(calls):
    """Whether each call reads what the one before it made, and nothing else."""
    return all(
        call.inputs == before.outputs for before, call in itertools.pairwise(calls)
    )


def _is_map(cut):
    shape = cut.tensor.shape
    if len(shape) != 4 or cut.along or tuple(shape[1:3]) == (1, 1):
        return False
    return any(
        len(weight.shape) == 4
        for call in cut.calls_below
        for weight in getattr(call.operation, "weights", ())
    )


def _check_takes_images(model):
    shapes = [(tuple(x.shape), x.dtype) for x in model.inputs]
    outputs = [tuple(x.shape) for x in model.outputs]
    is_image = len(shapes) == 1 and len(shapes[0][0]) == 4 and shapes[0][1] != "string"
    if not is_image or len(outputs) != 1 or len(outputs[0]) != 2:
        raise ValueError(
            "`model` must take images (batch, height, width, channels) and give one "
            f"vector (batch, outputs). Received: {model.name!r} with inputs {shapes} "
            f"and outputs of shape {outputs}. In texts and numbers there are no places "
            "to point at; leave words out and compare predictions instead."
        )
    if keras.config.image_data_format() != "channels_last":
        raise ValueError(
            "`model` must have its channels last. Received: Keras set to "
            f"{keras.config.image_data_format()!r}. Call "
            'keras.config.set_image_data_format("channels_last") before building it.'
        )
