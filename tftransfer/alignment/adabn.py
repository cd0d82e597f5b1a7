"""AdaBN: BatchNormalization statistics of the target in place of the source's."""

import contextlib

import keras
import numpy as np
from keras import ops

from tftransfer.checks import check_whole_number


def adapt_batch_norm(model, target, *, batch_size=256):
    """Recompute the statistics of every BatchNormalization on the target.

    What a network learned stays; each channel is centered and scaled by what it is like
    on the target instead of on the source. No labels and no training: one pass over
    the rows. The model then suits the target and no longer the source.

    For the activations `x` of a channel on all target rows, wherever in a feature map:

        moving_mean = mean(x)
        moving_variance = mean((x - mean(x))^2)

    In the pass each layer uses the statistics of the batch at hand, so that layers
    above it meet what they will meet afterwards; those of the batches are then joined
    exactly. Above other such layers the result thus depends on the batches a little:
    let them be large and shuffled. All else runs as in inference, dropout included,
    and frozen layers are adapted like others. Where anything fails, the statistics are
    as before.

    Args:
        model: `keras.Model` with BatchNormalization layers. Those hidden in a
            SavedModel cannot be reached.
        target: Array of inputs `(rows, ...)`, or batches of them: a `tf.data.Dataset`,
            an `UnlabeledDomain` or another iterable. Of tuples the first part is read.
        batch_size: Rows in a batch, where an array is given.

    Raises:
        ValueError: If the model has no BatchNormalization, the target holds no rows, or
            activations on it are NaN or infinite.
        TypeError: If `model` is no `keras.Model`.

    Example:

    >>> model = keras.Sequential(
    ...     [keras.Input((1,)), keras.layers.BatchNormalization(epsilon=0.0)]
    ... )
    >>> target = np.array([[1.0], [3.0], [8.0]])
    >>> adapt_batch_norm(model, target)
    >>> [float(x[0]) for x in model.non_trainable_variables]  # mean, variance
    [4.0, 8.666666984558105]

    Reference:
        [Li et al., 2016](https://arxiv.org/abs/1603.04779), algorithm 1.
    """
    check_whole_number("batch_size", batch_size)
    layers = _find_layers(model)
    before = [_read(layer) for layer in layers]
    try:
        with contextlib.ExitStack() as stack:
            records = [stack.enter_context(_recording(layer)) for layer in layers]
            for batch in _batches(target, batch_size):
                model(batch, training=False)
        found = [record.joined() for record in records]
        _check(layers, found)
    except BaseException:
        _write(layers, before)
        raise
    _write(layers, [new or old for new, old in zip(found, before, strict=True)])


def _find_layers(model):
    if not isinstance(model, keras.Model):
        raise TypeError(
            "`model` must be a keras.Model. Received: model of type "
            f"{type(model).__name__}. Of a Backbone pass its .model."
        )
    layers = [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    if not layers:
        raise ValueError(
            "`model` must have BatchNormalization layers, whose statistics AdaBN "
            f"renews. Received: model {model.name!r} without any that Keras can see. "
            "Align it while it learns, for example with alignment=tft.MCC()."
        )
    return layers


def _batches(target, batch_size):
    if hasattr(target, "shape"):
        for start in range(0, len(target), batch_size):
            yield target[start : start + batch_size]
        return
    for batch in target:
        yield batch[0] if isinstance(batch, (tuple, list)) else batch


class _Record:
    """Counts, means and variances that one layer met, a batch each."""

    def __init__(self):
        self.counts, self.means, self.variances = [], [], []

    def add(self, count, mean, variance):
        self.counts.append(count)
        self.means.append(np.asarray(mean, "float64"))
        self.variances.append(np.asarray(variance, "float64"))

    def joined(self):
        """Return mean and variance over all batches; None where there was none."""
        if not self.counts:
            return None
        weights = np.array(self.counts) / np.sum(self.counts)
        mean = np.tensordot(weights, self.means, 1)
        within = np.tensordot(weights, self.variances, 1)
        between = np.tensordot(weights, (np.array(self.means) - mean) ** 2, 1)
        return mean, within + between


@contextlib.contextmanager
def _recording(layer):
    """Let a layer use and record the statistics of each batch."""
    record, original = _Record(), layer.call

    def call(inputs, training=None, mask=None):
        x = ops.cast(inputs, "float32")
        rank = len(x.shape)
        axes = [axis for axis in range(rank) if axis != layer.axis % rank]
        mean, variance = ops.moments(x, axes)
        count = np.prod([x.shape[axis] for axis in axes])
        mean, variance = map(ops.convert_to_numpy, (mean, variance))
        record.add(count, mean, variance)
        _write([layer], [(mean, variance)])
        return original(inputs, training=False, mask=mask)

    layer.call = call
    try:
        yield record
    finally:
        del layer.call


def _read(layer):
    both = layer.moving_mean, layer.moving_variance
    return tuple(ops.convert_to_numpy(x).copy() for x in both)


def _write(layers, statistics):
    for layer, (mean, variance) in zip(layers, statistics, strict=True):
        layer.moving_mean.assign(mean)
        layer.moving_variance.assign(variance)


def _check(layers, found):
    if not any(found):
        raise ValueError(
            "`target` must hold rows. Received: target without any. Pass an array, or "
            "a dataset that has not been read to its end."
        )
    for layer, both in zip(layers, found, strict=True):
        if both is not None and not np.isfinite(both).all():
            raise ValueError(
                "`target` must give finite activations. Received: NaN or infinite "
                f"statistics in layer {layer.name!r}. Check the inputs and the weights."
            )
