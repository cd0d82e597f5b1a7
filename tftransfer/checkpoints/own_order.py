"""The data of a running `fit`, each epoch in an order that can be had again."""

import keras
import numpy as np
import tensorflow as tf

from tftransfer.checkpoints.draws import find_doubt
from tftransfer.checkpoints.passes import find_passes, number_passes

_ARRAYS, _DATASET = "ArrayDataAdapter", "TFDatasetAdapter"


class OwnOrder:
    """The order of the training data in one call of `fit`.

    Shuffled datasets get numbered passes. Arrays, which Keras shuffles as it comes, are
    shuffled by Philox with seed and epoch as its key.

    Args:
        epoch_iterator: Of Keras' `fit`, from which no epoch was read yet.
        copies: `Copies` of the model.
        seed: Whole number, for arrays.
        firsts: `first` of the `Passes` of a run that goes on, or `None`.

    Attributes:
        doubt: One line on why a later run might get other data, or `None`.
    """

    def __init__(self, epoch_iterator, copies, seed, firsts=None):
        self._copies, self._seed = copies, seed
        self._epoch, self._given = 0, firsts
        self._passes: list = []
        self.doubt: str | None = None
        adapter = epoch_iterator.data_adapter
        kind = type(adapter).__name__
        if kind == _DATASET:
            self._number(epoch_iterator, adapter._dataset)
        elif kind == _ARRAYS and adapter._shuffle:
            self._shuffle(epoch_iterator, adapter)
        elif kind != _ARRAYS:
            self.doubt = f"a {kind.removesuffix('Adapter')} may give anything"

    def begin(self, epoch):
        """Tell the data which epoch begins."""
        self._epoch = epoch
        for each in self._passes:
            each.begin(epoch)

    @property
    def firsts(self):
        """Numbers of the passes of epoch 0, a list."""
        return [each.first for each in self._passes]

    def rest(self):
        """Let the data be looked into again."""
        for each in self._passes:
            each.rest()

    def settle(self, epochs):
        """Leave the data as so many epochs leave them."""
        for each in self._passes:
            each.settle(epochs)

    def _number(self, epoch_iterator, dataset):
        if getattr(dataset, "holds_stored_rows", False):
            return
        self.doubt = find_doubt(dataset)
        numbered = number_passes(dataset, self._given)
        self._passes = find_passes(numbered)
        if numbered is not dataset:
            epoch_iterator._distributed_dataset = self._copies.spread(numbered)

    def _shuffle(self, epoch_iterator, adapter):
        arrays = keras.tree.map_structure(_as_tensor, adapter._inputs)
        if any(x is None for x in keras.tree.flatten(arrays)):
            self.doubt = "Keras shuffles arrays of this kind itself"
            return
        self._rows = adapter._num_samples

        def gather(rows):
            return keras.tree.map_structure(lambda x: tf.gather(x, rows), arrays)

        def draw(_):
            rows = tf.numpy_function(self._permute, [], tf.int64)
            rows = tf.ensure_shape(rows, (adapter._num_samples,))
            return tf.data.Dataset.from_tensor_slices(rows)

        rows = tf.data.Dataset.range(1).flat_map(draw).batch(adapter._batch_size)
        batches = rows.map(gather).prefetch(2)
        epoch_iterator._distributed_dataset = self._copies.spread(batches)

    def _permute(self):
        key = np.array([self._seed, self._epoch], "uint64")
        return np.random.Generator(np.random.Philox(key=key)).permutation(self._rows)


def _as_tensor(leaf):
    try:
        array = np.asarray(leaf)
        if array.dtype == "float64":  # as Keras does
            array = array.astype(keras.config.floatx())
        return tf.convert_to_tensor(array)
    except (TypeError, ValueError):
        return None  # a sparse matrix
