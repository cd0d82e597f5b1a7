"""Data of which any rows can be taken, as often as there are folds."""

import dataclasses
import hashlib
import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf

BATCH_SIZE = 32  # of arrays, as in `fit`


@dataclasses.dataclass(frozen=True, eq=False)
class Rows:
    """Examples in a fixed order.

    Attributes:
        labels: Array, one row for each example.
        digest: Str that is equal for equal examples in equal order.
        class_names: List of str, or None.
        batch_size: Rows in a batch.
        source: Tuple of structures of tensors, or a `tf.data.Dataset` of batches.
        batch_lengths: Rows in each batch of a dataset.
        shuffle_buffer: The most rows of a dataset to shuffle among.
    """

    labels: np.ndarray
    digest: str
    class_names: list | None
    batch_size: int
    source: Any = dataclasses.field(repr=False)
    batch_lengths: np.ndarray | None = None
    shuffle_buffer: int = 0

    def __len__(self):
        return len(self.labels)

    def training_part(self, rows, seed):
        """Return these rows as a dataset that comes in a new order in each epoch.

        Args:
            rows: Int array, sorted.
            seed: Whole number >= 0.

        Returns:
            Batched `tf.data.Dataset` with the attributes that loaders give theirs:
            `class_names`, `batch_size`, `fingerprint`, `shuffles`, `augmented` and
            `unshuffled`.
        """
        unshuffled = self.fixed_part(rows)
        if self.batch_lengths is None:
            order = tf.data.Dataset.from_tensor_slices(rows)
            order = order.shuffle(len(rows), seed=seed)
            dataset = self._gather(order, self.source)
        else:
            buffer = min(len(rows), self.shuffle_buffer)
            dataset = self._keep(rows).unbatch().shuffle(buffer, seed=seed)
            dataset = dataset.batch(self.batch_size)
        return self._finish(dataset, rows, unshuffled)

    def fixed_part(self, rows, *, weighted=True):
        """Return these rows as a dataset in their own order.

        Args:
            rows: Int array, sorted.
            weighted: Whether sample weights come along, where there are any.
        """
        if self.batch_lengths is None:
            source = self.source if weighted else self.source[:2]
            dataset = self._gather(tf.data.Dataset.from_tensor_slices(rows), source)
        else:
            dataset = self._keep(rows).rebatch(self.batch_size)
            if not weighted:
                dataset = dataset.map(lambda *batch: batch[:2])
        return self._finish(dataset, rows)

    def _gather(self, order, source):
        return order.batch(self.batch_size).map(
            lambda rows: keras.tree.map_structure(lambda x: tf.gather(x, rows), source),
            tf.data.AUTOTUNE,
        )

    def _keep(self, rows):
        chosen = np.zeros(len(self), bool)
        chosen[rows] = True
        masks = tf.RaggedTensor.from_row_lengths(chosen, self.batch_lengths)
        pairs = tf.data.Dataset.zip(
            self.source, tf.data.Dataset.from_tensor_slices(masks)
        )
        return pairs.map(
            lambda batch, mask: keras.tree.map_structure(
                lambda x: tf.boolean_mask(x, mask), batch
            ),
            tf.data.AUTOTUNE,
        )

    def _finish(self, dataset, rows, unshuffled=None):
        # Rows kept out of batches leave a number of batches that TensorFlow misjudges.
        num_batches = math.ceil(len(rows) / self.batch_size)
        dataset = dataset.apply(tf.data.experimental.assert_cardinality(num_batches))
        dataset = dataset.prefetch(tf.data.AUTOTUNE)
        identity = self.digest.encode() + np.ascontiguousarray(rows).tobytes()
        dataset.class_names, dataset.batch_size = self.class_names, self.batch_size
        dataset.fingerprint = hashlib.sha256(identity).hexdigest()
        dataset.shuffles, dataset.augmented = unshuffled is not None, False
        dataset.unshuffled = dataset if unshuffled is None else unshuffled
        return dataset
