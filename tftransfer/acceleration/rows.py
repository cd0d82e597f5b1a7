"""Rows as a dataset for `fit`, each epoch in its own order."""

import keras
import numpy as np
import tensorflow as tf

from tftransfer.acceleration.resuming import mark_activations
from tftransfer.features.by_length import round_length
from tftransfer.features.extraction import ACTIVATIONS


class Rows:
    """Activations, labels and weights, in the order of an epoch.

    The order depends on the seed and the number of the epoch alone, not on how many
    iterators were opened: Keras opens more than it uses, and they read ahead.

    Args:
        views: List of lists of arrays: what the model takes, then the leaves of labels
            and weights. Epoch after epoch takes the next view, and after the last the
            first again.
        batch_sizes: List of the rows in each batch.
        rest: Structure of labels and weights.
        seed: Whole number, of the order; `None` keeps that of the arrays.
        class_weight: Dict from class to weight, for labels with a class each.
        is_stored: Whether the first arrays are activations, not inputs of the model.
        channels: Of activations of texts, how many of their last channels are 0 where
            a text has ended: batches are as long as their longest text then. 0: none.

    Attributes:
        epoch: Number of the epoch, to be set when it begins.
    """

    def __init__(
        self,
        views,
        batch_sizes,
        rest,
        *,
        seed=None,
        class_weight=None,
        is_stored=True,
        channels=0,
    ):
        self.epoch = 0
        self.num_rows = sum(batch_sizes)
        self.batch_sizes = batch_sizes
        self.splits = np.cumsum([0, *batch_sizes])
        self._seed, self.is_stored, self.channels = seed, is_stored, channels
        self._rest, self._views = rest, views
        if class_weight is not None:
            self._rest = (*rest, None)
            self._views = [
                [*arrays, weigh_rows(np.asarray(arrays[1]), class_weight)]
                for arrays in views
            ]

    @property
    def num_batches(self):
        """Number of batches in an epoch."""
        return len(self.batch_sizes)

    @property
    def batch_bytes(self):
        """Bytes of a batch, labels and weights included."""
        rows = [
            array.dtype.itemsize * np.prod(array.shape[1:]) for array in self._views[0]
        ]
        return int(max(self.batch_sizes) * sum(rows))

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

    def load(self, view, rows):
        """Return rows in this order: a list of arrays, as in `views`."""
        first, *rest = [array[rows] for array in self._views[view]]
        if self.channels:
            is_text = first[..., -self.channels :].any(axis=(0, 2))
            longest = int(np.flatnonzero(is_text).max(initial=0)) + 1
            first = first[:, : round_length(longest, first.shape[1])]
        return [first, *rest]

    def pack(self, leaves):
        """Return a batch as the model takes it, from a list as `load` gives it."""
        first = mark_activations(leaves[0]) if self.is_stored else leaves[0]
        rest = keras.tree.pack_sequence_as(self._rest, list(leaves[1:]))
        return (first, *rest) if rest else first

    def dataset(self, repeat=False):
        """Return a `tf.data.Dataset` of batches.

        Args:
            repeat: Whether it goes on without end, each pass in another order.
        """
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
        arrays = self._views[0]
        types = [tf.as_dtype(array.dtype) for array in arrays]
        leaves = tf.numpy_function(self.load, [view, rows], types)
        shapes = [(None, *array.shape[1:]) for array in arrays]
        if self.channels:
            shapes[0] = (None, None, *shapes[0][2:])
        return self.pack(list(map(tf.ensure_shape, leaves, shapes)))


def stored_rows(entries, examples, *, seed=None, **settings):
    """Make `Rows` of what was stored.

    Args:
        entries: List of `Entry`, one for each view.
        examples: `Examples` they were made from; their order changes only if these
            shuffle.
        seed: As of `Rows`.
        settings: Further arguments of `Rows`.
    """
    names = [f"rest_{i}" for i in range(len(keras.tree.flatten(examples.rest)))]
    views = [
        [entry.arrays[name] for name in (ACTIVATIONS, *names)] for entry in entries
    ]
    sizes = examples.batch_sizes(entries[0].num_rows)
    seed = seed if examples.shuffles else None
    return Rows(views, sizes, examples.rest, seed=seed, **settings)


def array_rows(examples, *, seed, **settings):
    """Make `Rows` of arrays in memory, which the model takes as they are.

    Args:
        examples: `ArrayExamples` with one input.
        seed: As of `Rows`.
        settings: Further arguments of `Rows`.
    """
    arrays = keras.tree.flatten(examples.arrays)
    sizes = examples.batch_sizes(len(arrays[0]))
    seed = seed if examples.shuffles else None
    return Rows([arrays], sizes, examples.rest, seed=seed, is_stored=False, **settings)


class EpochNumber(keras.callbacks.Callback):
    """Tells rows which epoch begins.

    Args:
        rows: List of `Rows`.
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
        source: `Rows` with labels.
        target: `Rows` without.
        epoch: As in `pair_domains`.

    Returns:
        `tf.data.Dataset` of `((source_x, target_x), source_y)`.
    """
    source_leads = epoch == "source" or target.num_batches <= source.num_batches
    pairs = tf.data.Dataset.zip(
        source.dataset(repeat=not source_leads), target.dataset(repeat=source_leads)
    )
    leader = source if source_leads else target
    pairs = pairs.map(
        lambda labeled, other: ((labeled[0], other), *labeled[1:])  # y, weights
    )
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
