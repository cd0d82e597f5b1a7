"""How much a unit counts."""

import itertools

import keras
import numpy as np
from keras import ops

from tftransfer.explanation.gradients import gradient_of_sum
from tftransfer.freezing.graph import graph_of
from tftransfer.regularization.starting_weights import other_weights

CRITERIA = ("l2", "taylor")
_ROWS = 32


def taylor_importance(model, channels, groups, data, *, num_batches=8):
    """Measure how much the loss changes when a unit is switched off, to first order.

    Formula, with `S` the weights that read a unit, which pruning sets to zero, and
    `g` the gradient of the loss of a batch, as a mean over batches:

        importance = (sum over s in S of g_s w_s)^2

    The sum is the derivative of the loss by a gate in front of all that reads the
    unit. Everything runs in inference mode; what a layer adds to the loss is left out.

    Args:
        model: Compiled `keras.Model`.
        channels: `Channels` of it.
        groups: Int array, the groups to measure.
        data: Batches `(x, y)`: a `tf.data.Dataset`, a `PyDataset`, another iterable,
            or a tuple of arrays.
        num_batches: Batches to measure on, at least 1.

    Returns:
        Float64 array, one importance for each of `groups`.

    Raises:
        ValueError: If the data are empty or hold pairs of domains, or the model has no
            single loss.

    Reference:
        [Molchanov et al., 2019](https://arxiv.org/abs/1906.10771), section 3.
    """
    readers = [
        (part, np.searchsorted(groups, part.groups), np.isin(part.groups, groups))
        for part in channels.slices
        if part.role == "reads" and np.isin(part.groups, groups).any()
    ]
    plain, loss = graph_of(model), _loss_of(model)
    total, count = np.zeros(len(groups)), 0
    for x, y, *_ in itertools.islice(_batches(data), num_batches):
        _check_inputs(plain, x)

        def loss_of(gates, x=x, y=y):
            with other_weights(plain, [_gated(*part, gates) for part in readers]):
                return ops.mean(
                    loss(ops.convert_to_tensor(y), plain(x, training=False))
                )

        gradient = gradient_of_sum(loss_of, np.ones(len(groups), "float32"))
        total += ops.convert_to_numpy(gradient).astype("float64") ** 2
        count += 1
    if not count:
        raise ValueError(
            "`data` must hold batches (x, y). Received: data without any. Pass a "
            "dataset that has not been read to its end."
        )
    return total / count


def filter_norms(channels, groups):
    """Return the L2 norm of the weights that make each unit, without biases.

    Where several layers make a unit together, because they are added or multiplied,
    their weights are taken together.

    Args:
        channels: `Channels`.
        groups: Int array, sorted.

    Returns:
        Float64 array, one norm for each of `groups`.

    Reference:
        [Li et al., 2017](https://arxiv.org/abs/1608.08710), section 3.1, with the L2
        norm in place of L1.
    """
    squares = np.zeros(len(groups))
    for part in channels.slices:
        inside = np.isin(part.groups, groups)
        if part.role == "makes" and inside.any():
            values = ops.convert_to_numpy(part.variable).astype("float64")
            values = np.moveaxis(values, part.axis, 0).reshape(len(inside), -1)
            places = np.searchsorted(groups, part.groups[inside])
            np.add.at(squares, places, (values[inside] ** 2).sum(axis=1))
    return np.sqrt(squares)


def _loss_of(model):
    loss = model.loss
    if not isinstance(loss, str) and not callable(loss):
        raise ValueError(
            "`model` must be compiled with one loss to tell by which units count. "
            f"Received: a loss of type {type(loss).__name__}. Compile it so, or pass "
            'criterion="l2".'
        )
    return keras.losses.get(loss)


def _check_inputs(plain, x):
    if len(plain.inputs) == 1 and isinstance(x, (list, tuple)):
        raise ValueError(
            "`data` must be batches (x, y) of what the plain model takes. Received: "
            f"batches whose x is a {type(x).__name__} of {len(x)}. Pass the labeled "
            "source alone, not pairs of domains."
        )


def _gated(part, places, inside, gates):
    """A weight, and its value behind the gates."""
    along = ops.where(inside, ops.take(gates, np.where(inside, places, 0)), 1.0)
    shape = [1] * len(part.variable.shape)
    shape[part.axis] = len(inside)
    along = ops.cast(ops.reshape(along, shape), part.variable.dtype)
    return part.variable, ops.multiply(part.variable, along)


def _batches(data):
    if isinstance(data, tuple):
        for start in range(0, len(data[0]), _ROWS):
            yield tuple(part[start : start + _ROWS] for part in data)
    elif isinstance(data, keras.utils.PyDataset):
        yield from (data[place] for place in range(data.num_batches))
    else:
        yield from data
