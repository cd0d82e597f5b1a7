"""What every engine is: a frozen function run over batches, in order."""

import collections
import concurrent.futures

import keras
import ml_dtypes
import numpy as np

DTYPES = {
    "float32": np.dtype("float32"),
    "float16": np.dtype("float16"),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
}
# Batches handed to the engine beyond the one whose result is asked for: while one is
# computed, the next is ready and the one after it is being read.
AHEAD = 2


class EngineError(RuntimeError):
    """An engine that cannot run a function, or does not give its values."""


class Engine:
    """A frozen function that is run over batches of rows.

    Engines are built by `build_engine` or `choose_engine` for one function and one
    kind of batch. How many rows are computed at once, on how many threads, is the
    engine's own business: `run` takes batches of any size.

    Attributes:
        name: `"tensorflow"`, `"jax"`, `"openvino"` or `"onnx"`.
        dtype: dtype of the arrays that `run` gives, as a str.
        precision: dtype of the arithmetic, as a str.
    """

    name = ""
    ahead = AHEAD

    def __init__(self, example, dtype, precision):
        self.dtype = dtype
        self.precision = precision
        self._example = keras.tree.map_structure(as_array, example)
        if any(len(leaf) == 0 for leaf in keras.tree.flatten(self._example)):
            raise ValueError(
                "`example` must have a row. "
                f"Received: example={describe_batch(example)}. Pass rows of the data."
            )

    def run(self, batches):
        """Compute batch after batch, in order, reading ahead while it computes.

        Args:
            batches: Iterable of batches like the example: NumPy arrays, or
                dictionaries, lists or tuples of them, with rows on the first axis.
                It is read lazily, in the thread of the caller. An array must not
                be changed once it is handed over.

        Yields:
            Array with a row for every row of the batch; floats have `dtype`.
        """
        waiting: collections.deque = collections.deque()
        worker = concurrent.futures.ThreadPoolExecutor(1)
        try:
            for batch in batches:
                waiting.append(worker.submit(self._start_any, self.take_leaves(batch)))
                if len(waiting) > self.ahead:
                    yield self._finish(waiting.popleft())
            while waiting:
                yield self._finish(waiting.popleft())
        finally:
            worker.shutdown(cancel_futures=True)

    def close(self):
        """Give back what the engine holds; it cannot run afterwards."""

    def take_leaves(self, batch):
        """List the arrays of a batch, in order, each with the dtype of the example.

        Raises:
            ValueError: If the batch is built otherwise than the example.
        """
        try:
            keras.tree.assert_same_structure(self._example, batch)
        except ValueError as error:
            raise ValueError(
                "`batches` must be built like the example of the engine. "
                f"Received: {describe_batch(batch)} for {describe_batch(self._example)}"
                ". Build the engine with a batch of the same data."
            ) from error
        return [
            np.ascontiguousarray(as_array(leaf), dtype=like.dtype)
            for leaf, like in zip(
                keras.tree.flatten(batch),
                keras.tree.flatten(self._example),
                strict=True,
            )
        ]

    def _start(self, leaves):
        """Return an object whose `result()` is the output, computed or on its way."""
        raise NotImplementedError

    def _start_any(self, leaves):
        if len(leaves[0]):
            return self._start(leaves)
        # Convolutions refuse a batch without rows; its output has a shape even so.
        one_row = [leaf[:1] for leaf in self.take_leaves(self._example)]
        return Finished(self._start(one_row).result()[:0])

    def _finish(self, future):
        output = np.asarray(future.result().result())
        return output.astype(DTYPES[self.dtype]) if _is_float(output) else output


class Finished:
    """A result that is there already."""

    def __init__(self, value):
        self._value = value

    def result(self):
        """Return it."""
        return self._value


def as_array(leaf):
    """Return an array; text as objects, which have no longest length.

    Example:

    >>> as_array(["one", "three"]).dtype
    dtype('O')
    """
    array = np.asarray(leaf)
    return array.astype(object) if array.dtype.kind in "SU" else array


def shapes_of(leaves):
    """Return the shapes of a row: a tuple for each array, without the first axis."""
    return tuple(leaf.shape[1:] for leaf in leaves)


def cut_rows(leaves, size):
    """Yield `(start, stop, leaves)` for pieces of at most `size` rows."""
    num_rows = len(leaves[0])
    for start in range(0, num_rows, size):
        stop = min(start + size, num_rows)
        yield start, stop, [leaf[start:stop] for leaf in leaves]


def fill_rows(leaves, size):
    """Repeat the last row until there are `size`."""
    missing = size - len(leaves[0])
    if missing == 0:
        return leaves
    # A copy of a real row: zeros could divide by nothing and warn.
    return [np.concatenate([leaf, leaf[-1:].repeat(missing, 0)]) for leaf in leaves]


def describe_batch(batch):
    """Return the batch with arrays written as dtype and shape."""
    described = keras.tree.map_structure(
        lambda leaf: f"{np.asarray(leaf).dtype}{list(np.shape(leaf))}", batch
    )
    return str(described)


def _is_float(array):
    return np.issubdtype(array.dtype, np.floating) or array.dtype == DTYPES["bfloat16"]
