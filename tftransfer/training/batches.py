"""What `fit` takes as data, seen as batches."""

import dataclasses
import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tftransfer.acceleration.parts import read_part
from tftransfer.features.examples import BATCH_SIZE


@dataclasses.dataclass(frozen=True)
class TrainingData:
    """Training or validation data of any kind `fit` takes.

    Attributes:
        name: Name of the argument, for messages.
        source: `tf.data.Dataset`, `keras.utils.PyDataset` or tuple of arrays.
    """

    name: str
    source: Any

    @property
    def is_arrays(self):
        """Whether the data are arrays in memory."""
        return isinstance(self.source, tuple)

    @property
    def fit_arguments(self):
        """Arguments of `fit` that hand the data over."""
        if isinstance(self.source, tf.data.Dataset):
            # Keras warns of its own default, which means nothing for a dataset.
            return {"x": self.source, "shuffle": False}
        if not self.is_arrays:
            return {"x": self.source}
        names = ("x", "y", "sample_weight")
        return {**dict(zip(names, self.source, strict=False)), "batch_size": BATCH_SIZE}

    def part(self, shuffles):
        """Return the data as a `Part` for the fast path; arrays may shuffle."""
        return read_part(self.source, batch_size=BATCH_SIZE, shuffles=shuffles)

    @property
    def num_batches(self):
        """Number of batches, `None` if not known."""
        if self.is_arrays:
            return math.ceil(_length(self.source[0]) / BATCH_SIZE)
        if isinstance(self.source, tf.data.Dataset):
            cardinality = int(self.source.cardinality())
            return cardinality if cardinality >= 0 else None
        return self.source.num_batches

    def as_dataset(self):
        """Return the data as a `tf.data.Dataset`; arrays in batches, shuffled.

        Raises:
            TypeError: If they are a `PyDataset`.
        """
        if not self.is_arrays:
            if isinstance(self.source, tf.data.Dataset):
                return self.source
            raise TypeError(
                f"`{self.name}` must be a tf.data.Dataset or arrays to be mixed with "
                f"another domain. Received: {type(self.source).__name__}. Make a "
                "tf.data.Dataset of it."
            )
        rows = tf.data.Dataset.from_tensor_slices(self.source)
        count = _length(self.source[0])
        return rows.shuffle(count, reshuffle_each_iteration=True).batch(BATCH_SIZE)

    @property
    def is_endless(self):
        """Whether an epoch would never end."""
        if isinstance(self.source, tf.data.Dataset):
            return int(self.source.cardinality()) == tf.data.INFINITE_CARDINALITY
        return self.num_batches is None

    def batches(self):
        """Yield batches as they come, tuples of tensors or arrays."""
        if self.is_arrays:
            for start in range(0, _length(self.source[0]), BATCH_SIZE):
                rows = slice(start, start + BATCH_SIZE)
                yield keras.tree.map_structure(lambda x, r=rows: x[r], self.source)
        elif isinstance(self.source, tf.data.Dataset):
            yield from self.source
        else:
            for index in range(self.source.num_batches):
                yield self.source[index]


def read_data(name, data):
    """Return `data` as `TrainingData`, or raise `TypeError`.

    Args:
        name: Name of the argument, for messages.
        data: Batched `tf.data.Dataset`, `keras.utils.PyDataset`, or arrays
            `(x, y)` or `(x, y, sample_weight)`.

    Raises:
        TypeError: If `data` is something else.
        ValueError: If arrays have different lengths.
    """
    if isinstance(data, (tf.data.Dataset, keras.utils.PyDataset)):
        return TrainingData(name, data)
    if not isinstance(data, (tuple, list)) or len(data) not in (2, 3):
        raise TypeError(
            f"`{name}` must be a batched tf.data.Dataset or keras.utils.PyDataset of "
            "(x, y), or a tuple of arrays (x, y). "
            f"Received: {name} of type {type(data).__name__}. Make a dataset, for "
            "example with tft.load_folder or tf.data.Dataset.from_tensor_slices."
        )
    arrays = tuple(map(_to_arrays, data))
    lengths = {_length(part) for part in arrays}
    if len(lengths) > 1:
        shapes = keras.tree.map_structure(np.shape, arrays)
        raise ValueError(
            f"`{name}` given as arrays must have one row for each example. "
            f"Received: shapes {shapes}. Check that they belong together."
        )
    return TrainingData(name, arrays)


def _to_arrays(part):
    if isinstance(part, list) and part and isinstance(part[0], (str, bytes)):
        return np.array(part, object)
    return keras.tree.map_structure(_to_array, part)


def _to_array(part):
    array = np.asarray(part)
    # `fit` takes texts as objects only.
    return array.astype(object) if array.dtype.kind in "SU" else array


def _length(arrays):
    return len(keras.tree.flatten(arrays)[0])
