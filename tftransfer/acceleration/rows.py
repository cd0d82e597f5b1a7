"""Stored rows as a dataset for `fit`."""

import functools

import keras
import numpy as np
import tensorflow as tf

from tftransfer.acceleration.resuming import mark_activations
from tftransfer.features.extraction import ACTIVATIONS


class StoredRows:
    """Activations, labels and weights from the store, in the order of an epoch.

    Args:
        entries: List of `Entry`, one for each view of the examples: epoch after epoch
            takes the next one, and after the last the first again.
        examples: `Examples` they were made from.
        seed: Whole number, of the order of examples that shuffle; `None` keeps the
            stored order.
        memory: Bytes that may be held in memory.
    """

    def __init__(self, entries, examples, *, seed=None, memory=0):
        self.entries, self.rest = entries, examples.rest
        self.shuffles, self.seed = examples.shuffles and seed is not None, seed
        self.num_rows = entries[0].num_rows
        self.batch_sizes = entries[0].extra["batch_sizes"]
        self._splits = np.cumsum([0, *self.batch_sizes])
        self._epoch = 0
        size = sum(entry.arrays[ACTIVATIONS].nbytes for entry in entries)
        self.is_in_memory = size <= memory

    @property
    def num_batches(self):
        """Number of batches in an epoch."""
        return len(self.batch_sizes)

    def next_epoch(self):
        """Return the number of the view and the rows of the next epoch, int64."""
        epoch = self._epoch
        self._epoch += 1
        rows = np.arange(self.num_rows)
        if self.shuffles:
            key = np.array([self.seed, epoch], "uint64")
            rows = np.random.Generator(np.random.Philox(key=key)).permutation(rows)
        return np.int64(epoch % len(self.entries)), rows

    def take(self, view, rows):
        """Return `(activations, *labels and weights)` of some rows, as in a batch."""
        leaves = [tf.gather(leaf, rows) for leaf in self.tensors[view]]
        return self._pack(leaves)

    @functools.cached_property
    def tensors(self):
        """Lists of tensors, one list for each view, held in memory."""
        with tf.init_scope():
            return [
                [tf.constant(np.asarray(array)) for array in self._arrays(entry)]
                for entry in self.entries
            ]

    def dataset(self):
        """Return a `tf.data.Dataset` of batches; each pass is the next epoch."""

        def open_epoch(_):
            view, rows = tf.numpy_function(self.next_epoch, [], (tf.int64, tf.int64))
            view, rows = tf.ensure_shape(view, ()), tf.ensure_shape(rows, (None,))
            splits = tf.constant(self._splits)
            batches = tf.data.Dataset.range(self.num_batches)
            return batches.map(lambda i: (view, rows[splits[i] : splits[i + 1]]))

        batches = tf.data.Dataset.range(1).flat_map(open_epoch).map(self._read)
        size = tf.data.experimental.assert_cardinality(self.num_batches)
        return batches.apply(size).prefetch(2)

    def _read(self, view, rows):
        if self.is_in_memory:
            branches = [
                lambda v=view_index: [tf.gather(x, rows) for x in self.tensors[v]]
                for view_index in range(len(self.entries))
            ]
            leaves = tf.switch_case(tf.cast(view, tf.int32), branches)
            return self._pack(keras.tree.flatten(leaves))
        arrays = self._arrays(self.entries[0])
        types = [tf.as_dtype(array.dtype) for array in arrays]
        leaves = tf.numpy_function(self._gather, [view, rows], types)
        leaves = [
            tf.ensure_shape(leaf, (None, *array.shape[1:]))
            for leaf, array in zip(leaves, arrays, strict=True)
        ]
        return self._pack(leaves)

    def _gather(self, view, rows):
        return [array[rows] for array in self._arrays(self.entries[view])]

    def _arrays(self, entry):
        names = (f"rest_{i}" for i in range(len(keras.tree.flatten(self.rest))))
        return [entry.arrays[name] for name in (ACTIVATIONS, *names)]

    def _pack(self, leaves):
        marked = mark_activations(leaves[0])
        rest = keras.tree.pack_sequence_as(self.rest, leaves[1:])
        return (marked, *rest) if rest else marked


def pair_rows(source, target, epoch):
    """Pair rows of two domains as `pair_domains` pairs batches.

    Args:
        source: `StoredRows` with labels.
        target: `StoredRows` without.
        epoch: As in `pair_domains`.

    Returns:
        `tf.data.Dataset` of `((source_x, target_x), source_y)`.
    """
    left, right = source.dataset(), target.dataset()
    if epoch == "source" or target.num_batches <= source.num_batches:
        right = right.repeat()
    else:
        left = left.repeat()
    return tf.data.Dataset.zip(left, right).map(
        lambda labeled, other: ((labeled[0], other), labeled[1])
    )
