"""Stored rows as a dataset for `fit`."""

import functools

import keras
import numpy as np
import tensorflow as tf

from tftransfer.acceleration.resuming import mark_activations
from tftransfer.features.extraction import ACTIVATIONS


class StoredRows:
    """Activations, labels and weights from the store, in the order of an epoch.

    The order depends on the seed and the number of the epoch alone, not on how many
    iterators were opened: Keras opens more than it uses, and they read ahead.

    Args:
        entries: List of `Entry`, one for each view of the examples: epoch after epoch
            takes the next one, and after the last the first again.
        examples: `Examples` they were made from.
        seed: Whole number, of the order of examples that shuffle; `None` keeps the
            stored order.
        class_weight: Dict from class to weight, for labels with a class each.
        memory: Bytes that may be held in memory.

    Attributes:
        epoch: Number of the epoch, to be set when it begins.
    """

    def __init__(self, entries, examples, *, seed=None, class_weight=None, memory=0):
        self.epoch = 0
        self.num_rows = entries[0].num_rows
        self.batch_sizes = entries[0].extra["batch_sizes"]
        self.splits = np.cumsum([0, *self.batch_sizes])
        self._seed = seed if examples.shuffles else None
        self._rest = examples.rest if class_weight is None else (*examples.rest, None)
        self._views = [_arrays_of(entry, examples.rest) for entry in entries]
        if class_weight is not None:
            for arrays in self._views:
                arrays.append(weigh_rows(np.asarray(arrays[1]), class_weight))
        size = sum(array.nbytes for arrays in self._views for array in arrays)
        self.is_in_memory = size <= memory

    @property
    def num_batches(self):
        """Number of batches in an epoch."""
        return len(self.batch_sizes)

    @property
    def row_shape(self):
        """Shape of the activations of one row."""
        return self._views[0][0].shape[1:]

    def order(self, number=0):
        """Return the view and the rows of a pass over the data.

        Args:
            number: Of the pass, where an epoch takes more than one.

        Returns:
            Number of the view, and all rows in their order, both int64.
        """
        rows = np.arange(self.num_rows)
        if self._seed is not None:
            key = np.array([self._seed, self.epoch * 2**32 + number], "uint64")
            rows = np.random.Generator(np.random.Philox(key=key)).permutation(rows)
        return np.int64((self.epoch + number) % len(self._views)), rows

    def table(self):
        """Return all rows of all views: a list of arrays, activations first."""
        return [
            np.concatenate([np.asarray(arrays[place]) for arrays in self._views])
            for place in range(len(self._views[0]))
        ]

    def gather(self, view, rows):
        """Return a batch as the model takes it, from rows in memory.

        Args:
            view: Number of the view, an `int`.
            rows: int64 tensor.
        """
        return self._pack(_gather_all(self._tensors[view], rows))

    def dataset(self, repeat=False):
        """Return a `tf.data.Dataset` of batches.

        Args:
            repeat: Whether it goes on without end, each pass in another order.
        """
        if self.is_in_memory:
            _ = self._tensors  # made now, outside of any graph
        passes = tf.data.Dataset.range(tf.int64.max if repeat else 1)
        batches = passes.flat_map(self._open_pass).map(self._read)
        if not repeat:
            size = tf.data.experimental.assert_cardinality(self.num_batches)
            batches = batches.apply(size)
        return batches.prefetch(2)

    def _open_pass(self, number):
        view, rows = tf.numpy_function(self.order, [number], (tf.int64, tf.int64))
        view, rows = tf.ensure_shape(view, ()), tf.ensure_shape(rows, (None,))
        splits = tf.constant(self.splits)
        batches = tf.data.Dataset.range(self.num_batches)
        return batches.map(lambda i: (view, rows[splits[i] : splits[i + 1]]))

    def _read(self, view, rows):
        if self.is_in_memory:
            choices = [
                functools.partial(_gather_all, tensors, rows)
                for tensors in self._tensors
            ]
            return self._pack(tf.switch_case(tf.cast(view, tf.int32), choices))
        arrays = self._views[0]
        types = [tf.as_dtype(array.dtype) for array in arrays]
        leaves = tf.numpy_function(self._load, [view, rows], types)
        shapes = [(None, *array.shape[1:]) for array in arrays]
        return self._pack(list(map(tf.ensure_shape, leaves, shapes)))

    def _load(self, view, rows):
        return [array[rows] for array in self._views[view]]

    @functools.cached_property
    def _tensors(self):
        with tf.init_scope():
            return [
                [tf.constant(np.asarray(array)) for array in arrays]
                for arrays in self._views
            ]

    def _pack(self, leaves):
        marked = mark_activations(leaves[0])
        rest = keras.tree.pack_sequence_as(self._rest, list(leaves[1:]))
        return (marked, *rest) if rest else marked


class EpochNumber(keras.callbacks.Callback):
    """Tells stored rows which epoch begins.

    Args:
        rows: List of `StoredRows`.
    """

    def __init__(self, rows):
        super().__init__()
        self._rows = rows

    def on_epoch_begin(self, epoch, logs=None):
        """Set the number; `fit` opens the iterator it uses after this."""
        for rows in self._rows:
            rows.epoch = epoch


def pair_rows(source, target, epoch):
    """Pair rows of two domains as `pair_domains` pairs batches.

    Args:
        source: `StoredRows` with labels.
        target: `StoredRows` without.
        epoch: As in `pair_domains`.

    Returns:
        `tf.data.Dataset` of `((source_x, target_x), source_y)`.
    """
    source_leads = epoch == "source" or target.num_batches <= source.num_batches
    pairs = tf.data.Dataset.zip(
        source.dataset(repeat=not source_leads), target.dataset(repeat=source_leads)
    )
    leader = source if source_leads else target
    pairs = pairs.map(lambda labeled, other: ((labeled[0], other), labeled[1]))
    size = tf.data.experimental.assert_cardinality(leader.num_batches)
    return pairs.apply(size)


def weigh_rows(labels, class_weight):
    """Turn weights of classes into weights of rows, as `fit` does.

    Args:
        labels: Class numbers `(rows,)` or `(rows, 1)`, or one-hot `(rows, classes)`.
        class_weight: Dict from class to weight; classes left out weigh 1.

    Returns:
        float32 array `(rows,)`.
    """
    if labels.ndim > 1:
        labels = labels.argmax(-1) if labels.shape[-1] > 1 else labels[:, 0]
    weights = np.ones(len(labels), "float32")
    for number, weight in class_weight.items():
        weights[labels == number] = weight
    return weights


def _gather_all(tensors, rows):
    return [tf.gather(tensor, rows) for tensor in tensors]


def _arrays_of(entry, rest):
    names = (f"rest_{i}" for i in range(len(keras.tree.flatten(rest))))
    return [entry.arrays[name] for name in (ACTIVATIONS, *names)]
