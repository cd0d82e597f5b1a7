"""Batches of texts of similar length, so that short texts do not pay for long ones."""

import numpy as np
import tensorflow as tf

from tftransfer.checks import check_whole_number
from tftransfer.data.fingerprints import digest
from tftransfer.data.pipelines import AUTOTUNE, set_attributes

MOST_BATCHES = 50  # sorted at a time
LEAST_WINDOWS = 4  # in an epoch: of one alone every epoch would give the same batches


def batch_by_length(
    dataset, batch_size=32, *, shuffle=True, seed=0, shuffle_buffer=None, length=None
):
    """Batch texts with others of similar length, in an order that stays random.

    A batch is padded to its longest text, so in mixed batches most of the work on
    short texts is wasted. Here all examples are shuffled anew in every epoch and cut
    into windows of up to 50 batches; within a window they are sorted by length and cut
    into batches, and the batches are shuffled. Every example comes once in an epoch,
    each time beside others. `measure_padding` tells what it saves.

    Args:
        dataset: `tf.data.Dataset` of texts, of `(text, label)` or of
            `(text, label, weight)`, in batches or not; a text is one string.
        batch_size: Number of texts in a batch; the last window may leave one smaller.
        shuffle: Whether it is for training. Without, the examples of each window come
            from the shortest to the longest in one fixed order, for evaluation:
            labels stay beside their texts, but not in the order of `dataset`.
        seed: Whole number >= 0, for the order.
        shuffle_buffer: Number of examples to shuffle among; None for all.
        length: Function from a batch of texts `(n,)` to their lengths `(n,)`, in
            TensorFlow; None counts bytes, which predict the number of tokens better
            than words do and cost next to nothing.

    Returns:
        `tf.data.Dataset` of batches. What our loaders hang on `dataset` is hung on it
        too (`class_names`, `split_name`, `fingerprint`, `unshuffled` in the first
        order, ...).

    Raises:
        TypeError: If `dataset` is no `tf.data.Dataset`, or an option no whole number.
        ValueError: If it holds something other than texts, is endless, or an option
            is out of range.

    Example:

    >>> texts = ["short", "much longer"] * 24
    >>> data = tf.data.Dataset.from_tensor_slices((texts, range(48)))
    >>> batches = batch_by_length(data, 3, shuffle=False)
    >>> {b" ".join(texts.numpy()).decode() for texts, _ in batches.take(4)} == {
    ...     "short short short", "much longer much longer much longer"
    ... }
    True

    Reference:
        The windows are those of `group_by_length` in
        [Transformers](https://github.com/huggingface/transformers).
    """
    check_whole_number("batch_size", batch_size)
    check_whole_number("seed", seed, minimum=0)
    if shuffle_buffer is not None:
        check_whole_number("shuffle_buffer", shuffle_buffer)
    is_batched = _check_texts(dataset)
    if not shuffle:
        dataset = vars(dataset).get("unshuffled", dataset)
    num_rows, examples = _count_rows(dataset, is_batched), dataset
    if is_batched:
        examples = dataset.unbatch()
    if shuffle and not vars(dataset).get("shuffles"):
        examples = examples.shuffle(
            shuffle_buffer or num_rows or tf.data.UNKNOWN_CARDINALITY,
            seed=seed,
            reshuffle_each_iteration=True,
        )
    num_windowed = _window_batches(num_rows, batch_size)
    sort = _Sort(batch_size, num_windowed, length or tf.strings.length, shuffle, seed)
    batches = examples.batch(batch_size * num_windowed).map(sort, AUTOTUNE)
    batches = batches.rebatch(batch_size)
    if shuffle:
        batches = batches.shuffle(
            num_windowed, seed=seed + 1, reshuffle_each_iteration=True
        )
    if num_rows:
        size = tf.data.experimental.assert_cardinality(-(-num_rows // batch_size))
        batches = batches.apply(size)
    order = [batch_size, num_windowed, length is None]
    return _pass_on(dataset, batches.prefetch(AUTOTUNE), batch_size, shuffle, order)


class _Sort:
    """Puts the batches of a window one after the other, each of similar lengths.

    They leave in a fixed order that mixes short and long: the shuffle behind takes in
    batch after batch, and would give the short ones first.
    """

    def __init__(self, batch_size, num_batches, length, shuffle, seed):
        self._batch_size, self._length = batch_size, length
        order = np.arange(num_batches)
        if shuffle:
            order = np.random.Generator(np.random.Philox(seed)).permutation(order)
        self._order = order

    def __call__(self, *example):
        lengths = tf.ensure_shape(self._length(_texts_of(example)), (None,))
        rows = tf.argsort(lengths, stable=True)
        num_whole = tf.size(rows) // self._batch_size
        whole, rest = tf.split(
            rows, [num_whole * self._batch_size, tf.size(rows) % self._batch_size]
        )
        order = tf.constant(self._order, tf.int32)
        order = tf.boolean_mask(order, order < num_whole)
        whole = tf.gather(tf.reshape(whole, (-1, self._batch_size)), order)
        rows = tf.concat([tf.reshape(whole, (-1,)), rest], 0)
        gathered = tf.nest.map_structure(lambda part: tf.gather(part, rows), example)
        return gathered if len(gathered) > 1 else gathered[0]


def _texts_of(example):
    return example[0] if isinstance(example, tuple) else example


def _check_texts(dataset):
    """Return whether `dataset` is batched; raise unless it holds texts."""
    if not isinstance(dataset, tf.data.Dataset):
        raise TypeError(
            "`dataset` must be a tf.data.Dataset. "
            f"Received: dataset of type {type(dataset).__name__}. Make one with "
            "tf.data.Dataset.from_tensor_slices((texts, labels))."
        )
    spec = dataset.element_spec
    texts = _texts_of(spec)
    is_text = isinstance(texts, tf.TensorSpec) and texts.dtype == tf.string
    if not is_text or texts.shape.rank not in (0, 1):
        raise ValueError(
            "`dataset` must give texts, one string each, alone or with labels. "
            f"Received: dataset with elements {spec}. Map it to (text, label)."
        )
    if int(dataset.cardinality()) == tf.data.INFINITE_CARDINALITY:
        raise ValueError(
            "`dataset` must come to an end. Received: dataset that repeats endlessly. "
            "Leave out .repeat()."
        )
    return texts.shape.rank == 1


def _count_rows(dataset, is_batched):
    """Return the number of examples, or None where it takes a pass to tell."""
    if is_batched:
        return vars(dataset).get("num_examples")
    count = int(dataset.cardinality())
    return None if count < 0 else count


def _window_batches(num_rows, batch_size):
    if num_rows is None:
        return MOST_BATCHES
    num_batches = -(-num_rows // batch_size)
    return max(1, min(MOST_BATCHES, num_batches // LEAST_WINDOWS))


def _pass_on(source, batches, batch_size, shuffle, order):
    """Hang on the batches what the source says of itself, as far as it still holds."""
    told = vars(source)
    for attribute in ("class_names", "split_name", "num_examples"):
        if attribute in told:
            setattr(batches, attribute, told[attribute])
    batches.batch_size = batch_size
    if "unshuffled" not in told:
        return batches
    first, name = told["unshuffled"], told["fingerprint"]
    if not shuffle:  # the same rows in another order, always the same one
        is_known = name and order[-1]  # not by a function of the user's own
        name, first = digest(["by length", name, order]) if is_known else None, None
    set_attributes(
        batches,
        batch_size=batch_size,
        class_names=told["class_names"],
        fingerprint=name,
        unshuffled=first,
        augmented=told["augmented"],
        num_examples=told.get("num_examples"),
    )
    return batches
