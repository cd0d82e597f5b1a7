"""DELTA's attention: how much each channel of a feature map matters to the task."""

import keras
import numpy as np
from keras import ops

from tftransfer.checks import check_whole_number
from tftransfer.freezing.parts import single_tensor_cuts


def measure_channel_weights(model, data, layers, *, num_batches=4):
    """Measure how much the loss grows when a channel of a feature map is silenced.

    `DELTA` holds important channels more firmly with these weights. Measure them when
    a head has learned on the pretrained backbone, before the backbone learns.

    Formula, with the loss `L` of an example and `L_j` that with channel j set to zero,
    as a mean over examples:

        W = softmax over j of (L_j - L)

    Args:
        model: Compiled `keras.Model`, functional or a wrapper of one, with a trained
            head.
        data: Batches `(x, y)`: a `tf.data.Dataset` or another iterable.
        layers: Names of the layers whose outputs `DELTA` compares; one tensor alone
            must lead from each to the output.
        num_batches: Batches to measure on, at least 1. Each runs the part above a layer
            once for every channel.

    Returns:
        Dict from a layer's name to float64 array `(channels,)` that sums to 1.

    Raises:
        ValueError: If a layer is no such place, or the data are empty.

    Example:

    >>> inputs = keras.Input((2,))
    >>> features = keras.layers.Activation("linear", name="features")(inputs)
    >>> outputs = keras.layers.Dense(1, use_bias=False)(features)
    >>> model = keras.Model(inputs, outputs)
    >>> model.compile("sgd", "mse")
    >>> model.set_weights([np.array([[2.0], [0.0]])])
    >>> batch = np.array([[1.0, 5.0]]), np.array([[2.0]])  # silent, the first costs 4
    >>> weights = measure_channel_weights(model, [batch], ["features"])
    >>> [round(float(x), 3) for x in weights["features"]]  # e^4 : e^0
    [0.982, 0.018]

    Reference:
        [Li et al., 2019](https://arxiv.org/abs/1901.09229), equation 5.
    """
    check_whole_number("num_batches", num_batches)
    cuts = _find_cuts(model, layers)
    batches = [batch for _, batch in zip(range(num_batches), data, strict=False)]
    if not batches:
        raise ValueError(
            "`data` must hold batches (x, y). Received: data without any. Pass a "
            "dataset that has not been read to its end."
        )
    return {
        name: np.concatenate(
            [_attend(model, cut, *batch[:2]) for batch in batches]
        ).mean(axis=0)
        for name, cut in cuts.items()
    }


def _find_cuts(model, layers):
    found = {cut.name: cut for cut in single_tensor_cuts(model)}
    for name in layers:
        if name not in found:
            raise ValueError(
                "`layers` must be layers whose output alone leads to the model's. "
                f"Received: {name!r}. Take one of {list(found)[-6:]}."
            )
    return {name: found[name] for name in layers}


def _attend(model, cut, inputs, labels):
    """Return the weights for every example, `(rows, channels)`."""
    activations = cut.run_below(inputs, training=False)
    whole = _losses(model, labels, cut.run_above(activations, training=False))
    grown = []
    for channel in range(activations.shape[-1]):
        mask = np.ones(activations.shape[-1])
        mask[channel] = 0.0
        silenced = activations * ops.cast(mask, activations.dtype)
        logits = cut.run_above(silenced, training=False)
        grown.append(_losses(model, labels, logits) - whole)
    scores = np.stack(grown, axis=1)
    scores = np.exp(scores - scores.max(axis=1, keepdims=True))
    return scores / scores.sum(axis=1, keepdims=True)


def _losses(model, labels, logits):
    """Loss of every example, by the model's own loss."""
    loss = keras.losses.get(model.loss)
    function = loss.call if isinstance(loss, keras.losses.Loss) else loss
    values = ops.convert_to_numpy(function(ops.convert_to_tensor(labels), logits))
    values = values.astype("float64")
    return values.reshape(len(values), -1).mean(axis=1)
