"""The door of the target domain: labels do not pass."""

import functools
import weakref
from typing import Any

import numpy as np
import tensorflow as tf

from tftransfer.data.fingerprints import digest
from tftransfer.data.pipelines import set_attributes

BATCH_SIZE = 32  # of arrays, where they are read in batches


class UnlabeledDomain:
    """Rows without labels, whatever they were given with.

    What adapts to a domain must not read its labels, by mistake or otherwise. So they
    are dropped here, a line says so, and nothing that this object holds or hands out
    leads back to them: no array that shares memory with them, no names of files or
    classes, and of a pipeline no Python object of the steps before. (TensorFlow itself
    goes on running those steps, out of reach.)

    A dataset of one of our loaders keeps what stored features are found by, under the
    name that `pair_domains` gives to rows without labels.

    Args:
        data: Batched `tf.data.Dataset` of `x`, `(x, y)` or `(x, y, sample_weight)`; an
            array `(rows, ...)`, list of texts or SciPy sparse matrix; a tuple of
            these, `x` first; or what `extract_features` returned, which is then read
            into memory.

    Attributes:
        data: The rows: an array, a sparse matrix, a dictionary of arrays, or a batched
            `tf.data.Dataset` of `x`, as `extract_features` takes them.
        dropped_labels: Whether labels came along.

    Raises:
        TypeError: If `data` is something else.
        ValueError: If it holds no rows, is not batched, has no end, or does not tell
            rows from labels.

    Example:

    >>> domain = UnlabeledDomain((np.zeros((5, 2)), np.arange(5)))
    UnlabeledDomain: the labels of the target are dropped, nothing learns them.
    >>> len(domain), domain.dropped_labels, domain.data.shape
    (5, True, (5, 2))
    """

    data: Any
    dropped_labels: bool

    def __init__(self, data):
        if isinstance(data, UnlabeledDomain):
            self.data, self.dropped_labels = data.data, data.dropped_labels
            return
        if isinstance(data, tf.data.Dataset):
            _check_dataset(data)
            spec = data.element_spec
            self.dropped_labels = isinstance(spec, tuple) and len(spec) > 1
            self.data = _sever(drop_labels(data))
        else:
            rows, *others = data if isinstance(data, tuple) else (data,)
            self.dropped_labels = any(other is not None for other in others)
            self.data = _read_rows(rows, may_be_dictionary=bool(others))
        if self.dropped_labels:
            print(
                "UnlabeledDomain: the labels of the target are dropped, nothing learns "
                "them."
            )

    def __len__(self):
        """Return the number of rows, counted once where a dataset does not tell it."""
        return self._num_rows

    @functools.cached_property
    def _num_rows(self):
        if not isinstance(self.data, tf.data.Dataset):
            return _count(self.data)
        told = vars(self.data).get("num_examples")
        if told is not None:
            return told
        return sum(_count(tf.nest.flatten(batch)[0]) for batch in self.data)

    def __iter__(self):
        """Yield batches of `x`: of a dataset its own, as tensors; else of 32 rows."""
        if isinstance(self.data, tf.data.Dataset):
            yield from self.data
            return
        for start in range(0, len(self), BATCH_SIZE):
            rows = slice(start, start + BATCH_SIZE)
            if isinstance(self.data, dict):
                yield {name: part[rows] for name, part in self.data.items()}
            else:
                yield self.data[rows]

    def __reduce__(self):
        if isinstance(self.data, tf.data.Dataset):
            raise TypeError(
                "`UnlabeledDomain` must hold arrays to be pickled. "
                "Received: a tf.data.Dataset inside. "
                "Pickle what its data are read from, or features of it."
            )
        return _restore, (self.data, self.dropped_labels)


def drop_labels(dataset):
    """Return the inputs alone, with what a loader says of them but for labels.

    Args:
        dataset: `tf.data.Dataset` of `x`, or of a tuple with `x` first.

    Returns:
        `tf.data.Dataset` of `x`. Of one of our loaders it has `fingerprint`, under a
        name of its own, `batch_size`, `num_examples`, `shuffles`, `augmented` and
        `unshuffled`.

    Example:

    >>> train, _ = tft.load_synthetic(num_examples=4)
    >>> inputs = drop_labels(train)
    >>> inputs.element_spec.shape, inputs.num_examples == train.num_examples
    (TensorShape([None, 32, 32, 3]), True)
    """
    spec, inputs = dataset.element_spec, dataset
    if isinstance(spec, tuple):
        inputs = dataset.map(lambda *parts: parts[0], tf.data.AUTOTUNE)
    told = vars(dataset)
    if "unshuffled" not in told:
        return inputs
    if inputs is dataset:
        inputs = dataset.map(lambda x: x, tf.data.AUTOTUNE)  # not to change the given
    name, first = told["fingerprint"], told["unshuffled"]
    return set_attributes(
        inputs,
        # Another name: what is stored for the labeled rows holds their labels.
        fingerprint=name and digest(["no labels", name]),
        batch_size=told.get("batch_size"),
        unshuffled=None if first is dataset else drop_labels(first),
        augmented=told.get("augmented", False),
        num_examples=told.get("num_examples"),
    )


def _sever(dataset):
    """Return the same dataset as one whose steps no Python object leads to."""
    severed = tf.data.experimental.from_variant(
        tf.data.experimental.to_variant(dataset), dataset.element_spec
    )
    # Tables, caches and generators of the steps live as long as their Python objects.
    weakref.finalize(severed, _let_go, dataset).atexit = False
    told = vars(dataset)
    if "unshuffled" not in told:
        return severed
    first = told["unshuffled"]
    return set_attributes(
        severed,
        fingerprint=told["fingerprint"],
        batch_size=told["batch_size"],
        unshuffled=None if first is dataset else _sever(first),
        augmented=told["augmented"],
        num_examples=told["num_examples"],
    )


def _let_go(dataset):
    del dataset


def _restore(data, dropped_labels):
    domain = UnlabeledDomain.__new__(UnlabeledDomain)
    domain.data, domain.dropped_labels = data, dropped_labels
    return domain


def _count(rows):
    if isinstance(rows, dict):
        rows = next(iter(rows.values()))
    return int(rows.shape[0])


def _check_dataset(dataset):
    spec = dataset.element_spec
    if isinstance(spec, dict):
        raise _untold(f"a dataset of {sorted(spec)}")
    inputs = spec[0] if isinstance(spec, tuple) else spec
    shapes = [part.shape for part in tf.nest.flatten(spec)]
    ranks = [shape.rank for shape in shapes]
    is_image = len(shapes) == 1 and ranks[0] == 3
    if 0 in ranks or is_image:
        raise ValueError(
            "`data` must be batched. "
            f"Received: data.element_spec={dataset.element_spec!r}. "
            "Call data.batch(32) first."
        )
    if int(dataset.cardinality()) in (0, tf.data.INFINITE_CARDINALITY):
        raise ValueError(
            "`data` must hold at least one batch and come to an end. "
            f"Received: data with cardinality {int(dataset.cardinality())} (-1 is no "
            f"end) and inputs {inputs!r}. Leave repeat() out."
        )


def _read_rows(rows, may_be_dictionary):
    if isinstance(rows, dict) and may_be_dictionary and rows:
        return {name: _read_rows(part, False) for name, part in rows.items()}
    if isinstance(rows, dict):
        raise _untold(f"a dictionary of {sorted(rows)}")
    if hasattr(rows, "tocsr"):
        rows = rows.tocsr(copy=True)
    else:
        rows = _read_array(rows)
    if rows.shape[0] == 0:
        raise ValueError(
            "`data` must hold at least one row. "
            f"Received: data of shape {tuple(rows.shape)}. Pass the target's rows."
        )
    return rows


def _read_array(rows):
    array = np.array(rows, copy=None, subok=False)
    is_text = array.dtype.kind in "OSU"
    if array.ndim < (1 if is_text else 2) or array.dtype.names:
        raise ValueError(
            "`data` must be an array (rows, ...) of at least two axes, or texts. "
            f"Received: data of shape {array.shape} and {array.dtype}. "
            "Pass the inputs, not the labels; a single column as array[:, None]."
        )
    if array.dtype.kind == "O":
        strange = {type(part) for part in array.ravel()} - {str, bytes, np.str_}
        if strange:
            raise TypeError(
                "`data` must be numbers or texts. Received: data with parts of type "
                f"{sorted(kind.__name__ for kind in strange)}. "
                "Pass an array, a tf.data.Dataset or a list of str."
            )
    # A column of labels may lie in the memory behind a view.
    return array.copy() if array.base is not None else array


def _untold(received):
    return ValueError(
        "`data` must tell its inputs from its labels. "
        f"Received: {received}. Pass `x`, or `(x, y)`; of a dataset, "
        "data.map(lambda row: row['image'])."
    )
