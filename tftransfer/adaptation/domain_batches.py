"""Both domains as batches: for training, and in the order of their rows."""

import keras
import numpy as np
import tensorflow as tf

from tftransfer.data.domains import pair_domains
from tftransfer.features.datasets import inspect_dataset

BATCH_SIZE = 64  # of arrays, and of what has to be shuffled first
_BUFFER_BYTES = 2**28  # of rows to shuffle among


class CannotTrain(Exception):
    """Why no network can be trained on these domains; one line."""


class DomainBatches:
    """Source and target as end-to-end training reads them.

    Args:
        source: Batched `tf.data.Dataset` of `(x, y)`, or a tuple of arrays.
        target: `UnlabeledDomain`.
        num_rows: Numbers of rows of both.
        seed: Whole number, of the order.

    Attributes:
        pairs: `pair_domains` of both, each in another order in each epoch.
        source_rows: Dataset of `(x, y)` in the order of the rows, not augmented.
        target_rows: The same of the target, `x` alone.

    Raises:
        CannotTrain: If inputs are not one tensor each.

    Example:

    >>> from tftransfer.adaptation.domain_batches import DomainBatches
    >>> source = np.zeros((3, 2)), np.array([0, 1, 0])
    >>> domains = DomainBatches(source, tft.UnlabeledDomain(np.ones((5, 2))), (3, 5))
    >>> (x, other), y = next(iter(domains.pairs))
    >>> tuple(x.shape), tuple(other.shape), sorted(y.numpy().tolist())
    ((3, 2), (5, 2), [0, 0, 1])
    """

    def __init__(self, source, target, num_rows, seed=0):
        self._seed = seed
        self._num_rows = {True: num_rows[0], False: num_rows[1]}  # by having labels
        try:
            source = _as_dataset(source)
            data = _as_dataset(target.data)
            self.pairs = pair_domains(self._shuffled(source), self._shuffled(data))
        except (TypeError, ValueError) as error:
            raise CannotTrain(" ".join(str(error).split())) from error
        self.source_rows, self.target_rows = map(_in_order, (source, data))

    def mixed(self, rows, labels=False):
        """Return `source_rows` or `target_rows` in a random order.

        Args:
            rows: One of the two.
            labels: Whether those of the source shall come along.
        """
        mixed = self._shuffled(rows)
        return mixed.map(lambda x, y: x) if _has_labels(rows) and not labels else mixed

    def _shuffled(self, data):
        """Return data in batches of known number, shuffled unless they are already."""
        if inspect_dataset(data).shuffles and int(data.cardinality()) > 0:
            return data
        first = keras.tree.flatten(next(iter(data)))
        count = max(len(first[0]), 1)
        row_bytes = sum(part.numpy().nbytes for part in first) // count
        buffer = int(np.clip(_BUFFER_BYTES // max(row_bytes, 1), BATCH_SIZE, 2**16))
        size = max(count, BATCH_SIZE)
        rows = data.unbatch().shuffle(buffer, seed=self._seed).batch(size)
        # Keras warns at the end of an epoch whose length it was not told.
        number = -(-self._num_rows[_has_labels(data)] // size)
        return rows.apply(tf.data.experimental.assert_cardinality(number))


def _has_labels(data):
    return isinstance(data.element_spec, tuple)


def _as_dataset(data):
    first = data[0] if isinstance(data, tuple) else data
    if hasattr(first, "tocsr"):
        raise CannotTrain("sparse rows are not what a network is trained on")
    if not isinstance(data, tf.data.Dataset):
        parts = data[:2] if isinstance(data, tuple) else data
        data = tf.data.Dataset.from_tensor_slices(parts).batch(BATCH_SIZE)
    if _has_labels(data) and len(data.element_spec) > 2:
        return data.map(lambda x, y, *weights: (x, y))
    return data


def _in_order(data):
    return vars(data).get("unshuffled", data)
