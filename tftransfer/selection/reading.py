"""Arrays and datasets read into `Rows`, or an error that says what is amiss."""

import hashlib

import keras
import numpy as np
import tensorflow as tf

from tftransfer.selection.rows import BATCH_SIZE, Rows

SHUFFLE_BYTES = 2**30  # the most that the shuffled rows of a dataset may take
WANTED = (
    "`data` must be arrays (x, y) or (x, y, sample_weight), or a finite, batched "
    "tf.data.Dataset of them"
)


def read_rows(data, class_names=None):
    """Return `data` as `Rows`; a dataset of no loader of ours is read twice.

    Args:
        data: Tuple of arrays `(x, y)` or `(x, y, sample_weight)`, where `x` may be a
            dictionary or tuple of arrays, or a batched `tf.data.Dataset` of such. One
            that a loader of this package shuffles is read in its first order.
        class_names: Sequence of str; None takes those of the dataset, if any.

    Returns:
        `Rows`.

    Raises:
        TypeError: If `data` is something else.
        ValueError: If there are no rows, lengths differ, or a dataset is endless, not
            batched, augmented, or does not repeat itself.
    """
    if isinstance(data, tf.data.Dataset):
        return _read_dataset(data, class_names)
    if not isinstance(data, (tuple, list)) or len(data) not in (2, 3):
        raise TypeError(
            f"{WANTED}. Received: data of type {type(data).__name__}. For images in "
            "folders or tables make a dataset with tft.load_folder or tft.load_table."
        )
    arrays = tuple(_as_arrays(part) for part in data)
    leaves = keras.tree.flatten(arrays)
    lengths = [len(leaf) if leaf.ndim else 0 for leaf in leaves]
    if len(set(lengths)) != 1 or not lengths[0]:
        raise ValueError(
            f"{WANTED}, with one row for each example. Received: arrays of shapes "
            f"{[leaf.shape for leaf in leaves]}. Check that they belong together."
        )
    return Rows(
        labels=arrays[1],
        digest=digest_arrays(leaves),
        class_names=class_names,
        batch_size=BATCH_SIZE,
        source=keras.tree.map_structure(_to_tensor, arrays),
    )


def _as_arrays(part):
    if isinstance(part, dict):
        return {name: _as_arrays(inner) for name, inner in part.items()}
    if isinstance(part, tuple):
        return tuple(_as_arrays(inner) for inner in part)
    return np.asarray(part)


def _to_tensor(array):
    # As in `fit`, the usual precision.
    floatx = keras.config.floatx() if array.dtype == "float64" else None
    return tf.convert_to_tensor(array, floatx)


def digest_arrays(leaves):
    """Return the SHA-256 of arrays of numbers or texts, with dtypes and shapes.

    Args:
        leaves: List of NumPy arrays.

    Returns:
        Str of 64 hexadecimal digits.

    Example:

    >>> digest_arrays([np.array(["a", "bc"], object)]) == digest_arrays(
    ...     [np.array(["ab", "c"], object)]
    ... )
    False
    """
    hashing = hashlib.sha256()
    for leaf in leaves:
        hashing.update(f"{leaf.dtype} {leaf.shape}".encode())
        if leaf.dtype.hasobject:
            for text in leaf.ravel().tolist():
                text = text if isinstance(text, bytes) else str(text).encode()
                hashing.update(len(text).to_bytes(8, "little") + text)
        else:
            flat = np.ascontiguousarray(leaf).reshape(-1)
            hashing.update(flat.view("uint8").data)
    return hashing.hexdigest()


def _read_dataset(data, class_names):
    if getattr(data, "augmented", False):
        raise ValueError(
            f"{WANTED}, not augmented. Received: a dataset that changes its images at "
            "random. Load it without augment=, and put layers such as "
            "keras.layers.RandomFlip into the model, or augment within `train`."
        )
    names = getattr(data, "class_names", None) if class_names is None else class_names
    is_known = hasattr(data, "unshuffled")  # to repeat itself: a loader says so
    data = getattr(data, "unshuffled", data)
    _check_spec(data)
    batches = _Batches(data)
    again = batches if is_known else _Batches(data)
    if batches.digests != again.digests:
        pairs = enumerate(zip(batches.digests, again.digests, strict=False))
        differing = (f"batch {i}" for i, (one, other) in pairs if one != other)
        raise ValueError(
            f"{WANTED}, always the same rows in the same order. Received: a dataset "
            "whose second reading differs, first in "
            f"{next(differing, 'the number of batches')}. Pass it as it is before "
            "shuffle() and random steps: each training part is shuffled anew."
        )
    row_bytes = max(1, batches.num_bytes // len(batches.labels))
    return Rows(
        labels=batches.labels,
        digest=hashlib.sha256("".join(batches.digests).encode()).hexdigest(),
        class_names=names,
        batch_size=max(batches.lengths),
        source=data,
        batch_lengths=np.array(batches.lengths, "int64"),
        shuffle_buffer=max(1, SHUFFLE_BYTES // row_bytes),
    )


def _check_spec(data):
    spec = data.element_spec
    if not isinstance(spec, tuple) or len(spec) not in (2, 3):
        raise ValueError(
            f"{WANTED}. Received: a dataset with elements {spec}. Map it to a tuple, "
            'for example with .map(lambda row: (row["image"], row["label"])).'
        )
    if int(data.cardinality()) == tf.data.INFINITE_CARDINALITY:
        raise ValueError(
            f"{WANTED}. Received: an endless dataset. Remove its repeat()."
        )
    parts = keras.tree.flatten(spec)
    if not isinstance(spec[1], tf.TensorSpec) or not all(
        isinstance(part, tf.TensorSpec) for part in parts
    ):
        raise ValueError(
            f"{WANTED}, dense and with one tensor of labels. Received: a dataset with "
            f"elements {spec}. Map ragged and sparse tensors to dense ones."
        )
    shapes = [part.shape for part in parts]
    if any(shape.rank == 0 for shape in shapes):
        raise _unbatched(shapes)


def _unbatched(shapes):
    return ValueError(
        f"{WANTED}. Received: a dataset with elements of shapes "
        f"{[tuple(shape) for shape in shapes]}, which are no batches. "
        "Call .batch(32) on it."
    )


class _Batches:
    """What one reading of a dataset tells, without its rows.

    Attributes:
        labels: Array.
        lengths: List of the rows in each batch.
        digests: List of str, one for each batch.
        num_bytes: Size of all rows.
    """

    def __init__(self, dataset):
        labels, self.lengths, self.digests, self.num_bytes = [], [], [], 0
        shapes = set()
        for batch in dataset.as_numpy_iterator():
            leaves = [np.asarray(leaf) for leaf in keras.tree.flatten(batch)]
            lengths = {len(leaf) for leaf in leaves}
            if len(lengths) != 1:
                raise _unbatched([leaf.shape for leaf in leaves])
            shapes.add(tuple(leaf.shape[1:] for leaf in leaves))
            labels.append(batch[1])
            self.lengths.append(lengths.pop())
            self.digests.append(digest_arrays(leaves))
            self.num_bytes += sum(map(_size, leaves))
        if not sum(self.lengths):
            raise ValueError(
                f"{WANTED}, with at least one row. Received: an empty dataset. Check "
                "its split, its filters, and that it was not read up before."
            )
        if len(shapes) > 1:
            raise ValueError(
                f"{WANTED}, with rows of one shape. Received: batches with rows of "
                f"{len(shapes)} shapes, such as {sorted(shapes)[:2]}. Resize or pad "
                "them alike, so that rows of several batches can be joined."
            )
        self.labels = np.concatenate(labels)


def _size(leaf):
    return sum(map(len, leaf.ravel())) if leaf.dtype.hasobject else leaf.nbytes
