"""Read data once: rows spread over all of it, labels, fingerprints, batch sizes."""

import dataclasses
import hashlib
import time
from typing import Any

import keras
import numpy as np
import tensorflow as tf

KEPT_ROWS = 96  # in memory, spread over the data
MOST_ROWS = 20_000
MOST_SECONDS = 6.0


@dataclasses.dataclass(frozen=True)
class Rows:
    """What one pass over data told.

    Attributes:
        name: Argument that the data came in, for messages.
        source: The data themselves.
        inputs: Rows spread over what was read, as the model takes them: an array or a
            structure of arrays.
        labels: Their labels, or `None`.
        all_labels: Labels of all rows read, or `None`.
        digests: List of `bytes`, one for each row read.
        batch_sizes: List of the sizes of the batches read.
        num_batches: Batches in an epoch, `None` where it is not known.
        whole: Whether everything was read.
    """

    name: str
    source: Any
    inputs: Any
    labels: Any
    all_labels: Any
    digests: list
    batch_sizes: list
    num_batches: int | None
    whole: bool

    @property
    def num_kept(self):
        """Number of rows in `inputs`."""
        return len(keras.tree.flatten(self.inputs)[0])

    @property
    def usual_batch(self):
        """Number of rows that most batches have."""
        return int(np.median(self.batch_sizes))


def read_rows(name, data, batch_size):
    """Read data as `fit` takes them.

    Args:
        name: Argument that they came in, for messages.
        data: Batched `tf.data.Dataset` or `keras.utils.PyDataset` of inputs, or tuples
            of inputs, labels and weights; an array, or a tuple of arrays.
        batch_size: Rows in a batch, where arrays are given.

    Returns:
        `Rows`.

    Raises:
        TypeError: If `data` cannot be read twice, or not at all.
        ValueError: If it holds no batch, or single examples.
    """
    keepers, labels, digests, sizes = None, [], [], []
    start, whole = time.monotonic(), True
    for inputs, label in read_batches(name, data, batch_size):
        sizes.append(_length(name, inputs))
        parts = (inputs,) if label is None else (inputs, label)
        if keepers is None:
            keepers = keras.tree.map_structure(lambda part: _Keeper(), parts)
        keras.tree.map_structure(lambda keeper, x: keeper.add(x), keepers, parts)
        digests += digest_rows(inputs)
        if label is not None and not keras.tree.is_nested(label):
            labels.append(label)
        late = time.monotonic() - start > MOST_SECONDS
        if len(digests) >= MOST_ROWS or late:
            whole = False
            break
    if not digests:
        raise ValueError(
            f"`{name}` must hold at least one batch. Received: {name} without any. "
            "Check the path or split it was read from."
        )
    count = _count_batches(data, batch_size)
    kept = keras.tree.map_structure(lambda keeper: keeper.rows(), keepers)
    return Rows(
        name=name,
        source=data,
        inputs=kept[0],
        labels=kept[1] if len(kept) > 1 else None,
        all_labels=np.concatenate(labels) if labels else None,
        digests=digests,
        batch_sizes=sizes,
        num_batches=len(sizes) if count is None and whole else count,
        whole=whole,
    )


def digest_rows(inputs):
    """Fingerprint each row of a batch; equal rows have equal ones."""
    parts = [np.asarray(part) for part in keras.tree.flatten(inputs)]
    return [
        hashlib.blake2b(
            b"".join(_bytes_of(part[row]) for part in parts), digest_size=16
        ).digest()
        for row in range(min(map(len, parts)))
    ]


def _bytes_of(value):
    value = np.asarray(value)
    if value.dtype.kind in "OSU":
        return repr(value.tolist()).encode()
    return np.ascontiguousarray(value, "float32").tobytes()


def read_batches(name, data, batch_size):
    """Yield pairs of NumPy structures: the inputs of a batch, and labels or `None`.

    Args:
        name: Argument that the data came in, for messages.
        data: As `read_rows` takes them.
        batch_size: Rows in a batch, where arrays are given.

    Raises:
        TypeError: If `data` cannot be read twice, or not at all.
        ValueError: If arrays are not of one length.
    """
    if isinstance(data, tf.data.Dataset):
        # Loaders of ours keep the fixed order, without augmentation, beside.
        elements = getattr(data, "unshuffled", data).as_numpy_iterator()
    elif isinstance(data, keras.utils.PyDataset):
        elements = (data[index] for index in range(len(data)))
    elif isinstance(data, (tuple, list)) or hasattr(data, "__array__"):
        elements = _slices(name, data, batch_size)
    else:
        raise TypeError(
            f"`{name}` must be a batched tf.data.Dataset, a keras.utils.PyDataset, an "
            f"array or a tuple of arrays. Received: {name} of type "
            f"{type(data).__name__}. Wrap what can be read only once with "
            "tf.data.Dataset.from_generator."
        )
    for element in elements:
        element = element if isinstance(element, tuple) else (element,)
        arrays = keras.tree.map_structure(np.asarray, element[0])
        label = element[1] if len(element) > 1 else None
        if label is not None:
            label = keras.tree.map_structure(np.asarray, label)
        yield arrays, label


def _slices(name, data, batch_size):
    data = tuple(data) if isinstance(data, (tuple, list)) else (data,)
    arrays = keras.tree.map_structure(np.asarray, data)
    lengths = {len(part) if part.ndim else 0 for part in keras.tree.flatten(arrays)}
    if len(lengths) != 1:
        raise ValueError(
            f"`{name}` must hold arrays of one length. Received: {name} with lengths "
            f"{sorted(lengths)}. Pass (inputs, labels)."
        )
    for start in range(0, lengths.pop(), batch_size):
        rows = slice(start, start + batch_size)
        yield keras.tree.map_structure(lambda part, rows=rows: part[rows], arrays)


def _length(name, inputs):
    parts = [np.asarray(part) for part in keras.tree.flatten(inputs)]
    if any(part.ndim == 0 for part in parts):
        raise ValueError(
            f"`{name}` must be batched. Received: {name} with single examples. Call "
            f"{name}.batch(32)."
        )
    return min(map(len, parts))


def _count_batches(data, batch_size):
    if isinstance(data, tf.data.Dataset):
        count = int(data.cardinality())
        return count if count >= 0 else None
    if isinstance(data, keras.utils.PyDataset):
        return len(data)
    first = keras.tree.flatten(data)[0]
    return -(-len(first) // batch_size)


class _Keeper:
    """Keeps every n-th row of an array that comes in batches, n such that few stay."""

    def __init__(self):
        self._kept, self._seen, self._stride = [], 0, 1

    def add(self, part):
        first = -self._seen % self._stride
        self._kept.append(part[first :: self._stride])
        self._seen += len(part)
        while sum(map(len, self._kept)) > 2 * KEPT_ROWS:
            self._kept = [np.concatenate(self._kept)[::2]]
            self._stride *= 2

    def rows(self):
        joined = np.concatenate(self._kept)
        count = min(len(joined), KEPT_ROWS)
        return joined[np.linspace(0, len(joined) - 1, count).round().astype(int)]
