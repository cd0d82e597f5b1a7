"""What `fit` takes as data, read in a fixed order as NumPy batches."""

import functools

import keras
import numpy as np
import tensorflow as tf

from tftransfer.features.datasets import inspect_dataset
from tftransfer.features.hashing import hash_arrays

BATCH_SIZE = 32  # of arrays, as in `fit`


class Examples:
    """Data of any kind `fit` takes, and what is known of them without reading.

    Attributes:
        randomness: One line on why two passes may differ, or `None`.
        shuffles: Whether every pass comes in another order, or `fit` shuffles.
        batch_size: Number of rows in a batch, `None` if not known yet.
        num_rows: Number of rows, an upper bound for datasets, `None` if not known.
        rest: Structure of labels and weights of a batch; its leaves mean nothing.
        num_inputs: Number of tensors the model gets.
        read_sizes: Rows in each batch of the last pass.
        description: Shapes and dtypes of a batch, as a str.
    """

    randomness: str | None = None
    shuffles = False
    batch_size: int | None = None
    num_rows: int | None = None

    rest: tuple = ()
    num_inputs = 1
    read_sizes: tuple | list = ()
    description = ""

    def identity(self):
        """Return what identifies the rows without reading a dataset, or `None`."""
        return None

    def batches(self):
        """Yield `(x, rest)`: structures of arrays, `rest` a tuple of y and weights."""
        raise NotImplementedError

    def batch_sizes(self, num_rows):
        """Return the rows in each batch: as last read, or all of `batch_size`."""
        if sum(self.read_sizes) == num_rows:
            return list(self.read_sizes)
        size = self.batch_size or len(keras.tree.flatten(self.first)[0])
        full, left = divmod(num_rows, size)
        return [size] * full + ([left] if left else [])

    @functools.cached_property
    def first(self):
        """The first batch, `None` if there is none."""
        return next(self.batches(), None)


class ArrayExamples(Examples):
    """Arrays in memory.

    Args:
        arrays: Tuple `(x,)`, `(x, y)` or `(x, y, sample_weight)` of structures.
        batch_size: Rows in a batch.
        shuffles: Whether training takes them in another order every epoch.
    """

    def __init__(self, arrays, batch_size=None, shuffles=False):
        self.arrays = keras.tree.map_structure(_to_array, tuple(arrays))
        self.batch_size = self._size = batch_size or BATCH_SIZE
        self.shuffles = shuffles
        self.num_rows = self._length = len(keras.tree.flatten(self.arrays)[0])
        self.rest = self.arrays[1:]
        self.num_inputs = len(keras.tree.flatten(self.arrays[0]))

    def identity(self):
        """Hash of the content."""
        return hash_arrays(self.arrays)

    def batches(self):
        """Yield slices, in order."""
        for start in range(0, self._length, self._size):
            rows = slice(start, start + self._size)
            x, *rest = keras.tree.map_structure(lambda a, r=rows: a[r], self.arrays)
            yield x, tuple(rest)


class DatasetExamples(Examples):
    """A batched `tf.data.Dataset`; one of our loaders' is read unshuffled.

    Args:
        dataset: The dataset.
    """

    def __init__(self, dataset):
        self.facts = inspect_dataset(dataset)
        self.shuffles, self.randomness = self.facts.shuffles, self.facts.randomness
        # `tf.data` has a method of this name.
        self._fingerprint = vars(dataset).get("fingerprint")
        fixed = getattr(dataset, "unshuffled", None)
        self.dataset = dataset if fixed is None or self.randomness else fixed
        spec = self.dataset.element_spec
        self.rest = spec[1:] if isinstance(spec, tuple) else ()
        self.num_inputs = _count_leaves(spec)
        self.description = str(spec)
        batches = int(self.dataset.cardinality())
        self.batch_size = vars(dataset).get("batch_size") or _static_batch(spec)
        if batches >= 0 and self.batch_size is None and self.first:
            self.batch_size = len(keras.tree.flatten(self.first)[0])
        if batches >= 0:
            self.num_rows = batches * (self.batch_size or 0)

    def identity(self):
        """Return what the loader tells; an augmented one stands for all its draws."""
        return self.facts.identity or self._fingerprint

    def batches(self):
        """Yield batches as they come."""
        for batch in self.dataset:
            batch = keras.tree.map_structure(_to_numpy, batch)
            x, *rest = batch if isinstance(batch, tuple) else (batch,)
            yield x, tuple(rest)


class SequenceExamples(Examples):
    """A `keras.utils.PyDataset`, which may give anything at any time.

    Args:
        dataset: The dataset.
    """

    randomness = "a PyDataset may give other examples in every epoch"

    def __init__(self, dataset):
        self.dataset = dataset
        batch = dataset[0]
        self.batch_size = len(keras.tree.flatten(batch)[0])
        self.rest = batch[1:] if isinstance(batch, tuple) else ()
        self.num_inputs = _count_leaves(batch)
        batches = dataset.num_batches
        self.num_rows = batches and batches * self.batch_size

    def batches(self):
        """Yield batches by their index."""
        for index in range(self.dataset.num_batches):
            batch = keras.tree.map_structure(np.asarray, self.dataset[index])
            x, *rest = batch if isinstance(batch, tuple) else (batch,)
            yield x, tuple(rest)


class ChangedExamples(Examples):
    """Examples whose inputs are changed, each time in the same way.

    Args:
        examples: `Examples`.
        change: Function from inputs to inputs.
        identity: `str` that stands for what `change` does.
    """

    def __init__(self, examples, change, identity):
        self.examples, self._change, self._name = examples, change, identity
        self.randomness, self.shuffles = examples.randomness, examples.shuffles
        self.batch_size, self.num_rows = examples.batch_size, examples.num_rows
        self.rest, self.num_inputs = examples.rest, examples.num_inputs
        self.description = f"{examples.description} {identity}"

    def identity(self):
        """Return what identifies the examples, and the change."""
        unchanged = self.examples.identity()
        return unchanged and f"{unchanged} {self._name}"

    def batches(self):
        """Yield changed batches."""
        for x, rest in self.examples.batches():
            yield keras.ops.convert_to_numpy(self._change(x)), rest


def read_examples(data, *, batch_size=None, shuffles=False):
    """Return `data` as `Examples`.

    Args:
        data: Batched `tf.data.Dataset`, `keras.utils.PyDataset`, array, or tuple of
            arrays.
        batch_size: Rows in a batch, of arrays.
        shuffles: Whether training shuffles, of arrays.
    """
    if isinstance(data, tf.data.Dataset):
        return DatasetExamples(data)
    if isinstance(data, keras.utils.PyDataset):
        return SequenceExamples(data)
    data = data if isinstance(data, tuple) else (data,)
    return ArrayExamples(data, batch_size, shuffles)


def _to_numpy(part):
    return part.numpy() if hasattr(part, "numpy") else np.asarray(part)


def _to_array(part):
    array = np.asarray(part)
    if array.ndim == 0 or (array.dtype == object and not _holds_texts(array)):
        raise TypeError(
            "`data` must be a tf.data.Dataset, a PyDataset or arrays with a row for "
            f"each example. Received: {type(part).__name__}. Make a dataset of it."
        )
    # As in `fit`, the usual precision.
    return array.astype(keras.config.floatx()) if array.dtype == "float64" else array


def _holds_texts(array):
    return all(isinstance(value, (str, bytes)) for value in array.flat)


def _count_leaves(batch):
    inputs = batch[0] if isinstance(batch, tuple) else batch
    return len(keras.tree.flatten(inputs))


def _static_batch(spec):
    shapes = [part.shape for part in keras.tree.flatten(spec)]
    return shapes[0][0] if shapes and shapes[0].rank else None
