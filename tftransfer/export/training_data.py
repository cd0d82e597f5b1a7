"""What a model learned from, in the words of metadata.json."""

import tensorflow as tf

from tftransfer.features.examples import read_examples
from tftransfer.features.hashing import ContentHasher


def describe_training_data(data):
    """Return what tells training data from others, as JSON values.

    Args:
        data: `tf.data.Dataset` that comes to an end, array or tuple of arrays; what an
            earlier export told, a dictionary; or `None`.

    Returns:
        Dictionary: `fingerprint`, of a loader's dataset what it tells, else a hash of
        all rows in any order; `num_examples`; both `None` where examples differ from
        pass to pass; `license`, `None` unless the loader knows
        it. `None` without data.

    Raises:
        ValueError: If the dataset never ends, or a dictionary tells something else.

    Example:

    >>> rows = np.eye(3)
    >>> one = describe_training_data((rows, np.arange(3)))
    >>> one == describe_training_data((rows[::-1], np.arange(3)[::-1]))
    True
    >>> one["num_examples"]
    3
    """
    if data is None:
        return None
    if isinstance(data, dict):
        return _check_told(data)
    _check_ends(data)
    told = vars(data) if isinstance(data, tf.data.Dataset) else {}
    license_of_data = told.get("license")
    if told.get("fingerprint"):
        fingerprint, count = told["fingerprint"], told.get("num_examples")
    else:
        fingerprint, count = _hash(read_examples(data))
    return {
        "fingerprint": fingerprint,
        "num_examples": count,
        "license": license_of_data,
    }


def _check_told(told):
    if set(told) != {"fingerprint", "num_examples", "license"}:
        raise ValueError(
            "`training_data` must be data, or what an earlier export told of it. "
            f"Received: a dictionary of {sorted(told)}. Pass a dataset or arrays."
        )
    return told


def _hash(examples):
    if examples.randomness:
        return None, None
    hasher = ContentHasher(ordered=False)
    for batch in examples.batches():
        hasher.add(batch)
    return hasher.hexdigest(), hasher.num_rows


def _check_ends(data):
    is_dataset = isinstance(data, tf.data.Dataset)
    if is_dataset and int(data.cardinality()) == tf.data.INFINITE_CARDINALITY:
        raise ValueError(
            "`training_data` must come to an end. Received: a dataset that repeats "
            "endlessly. Pass it as it was before .repeat()."
        )
