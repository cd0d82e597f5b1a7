"""Two labeled domains in one dataset, side by side or row by row, each with its weight.

Each domain gets a share of the loss, whatever its number of rows: the scarce one is
not drowned by the other.
"""

import numpy as np
import tensorflow as tf

from tftransfer.checks import check_choice, check_number
from tftransfer.data.domains import EPOCHS, check_alike, read_spec, zip_domains
from tftransfer.data.fingerprints import digest
from tftransfer.data.pipelines import set_attributes

EPOCHS_OF_LABELED = (*EPOCHS, "target")
_BATCH_SIZE = 32  # where neither domain tells its own


def join_domains(source, target, *, source_weight=0.5, seed=0):
    """Mix the rows of two labeled domains, with weights, for joint training.

    For few labeled rows of the target beside many of another domain with the same
    classes. An epoch is one pass over all rows of both, in random order; the weights
    are such that all source rows together have `source_weight` of the loss.

    Args:
        source: Batched dataset of `(x, y)`, or a tuple of arrays `(x, y)`.
        target: The same kind, of the domain that counts; `x` and `y` as in `source`.
        source_weight: Share of the source in the loss, above 0 and below 1.
        seed: Whole number >= 0, for the order in which the domains take turns.

    Returns:
        As given, a `tf.data.Dataset` or a tuple of arrays, of `(x, y, sample_weight)`;
        the weights have mean 1. The dataset has the `class_names` of the target and
        what later steps ask a loader's dataset for.

    Raises:
        TypeError: If one of the two is neither a dataset nor arrays, or not what the
            other is.
        ValueError: If one is empty, endless or unbatched, they do not fit together, or
            a number is out of range.

    Example:

    >>> source = np.zeros((6, 2)), np.array([0, 1, 0, 1, 0, 1])
    >>> target = np.ones((2, 2)), np.array([0, 1])
    >>> x, y, weights = tft.join_domains(source, target)
    >>> [f"{weight:.2f}" for weight in weights]
    ['0.67', '0.67', '0.67', '0.67', '0.67', '0.67', '2.00', '2.00']

    Reference:
        The "weighted" baseline of
        [Daume, 2007](https://aclanthology.org/P07-1033/), section 2.
    """
    _check_share(source_weight)
    if isinstance(source, (tuple, list)) and isinstance(target, (tuple, list)):
        return _join_arrays(source, target, source_weight)
    dtypes = _check_labeled(source, target)
    counts = [_count_rows(x) for x in (source, target)]
    weights = _row_weights(counts[0], counts[1], source_weight)
    weighted = [
        _weigh(data, weight, dtypes)
        for data, weight in zip((source, target), weights, strict=True)
    ]
    mixed = tf.data.Dataset.sample_from_datasets(
        [data.unbatch() for data in weighted],
        weights=[count / sum(counts) for count in counts],
        seed=seed,
        rerandomize_each_iteration=True,
    )
    batch_size = vars(target).get("batch_size") or _BATCH_SIZE
    num_batches = -(-sum(counts) // batch_size)
    mixed = mixed.batch(batch_size).prefetch(tf.data.AUTOTUNE)
    mixed = mixed.apply(tf.data.experimental.assert_cardinality(num_batches))
    mixed.num_examples = sum(counts)
    return _pass_on(source, target, mixed, (weights, dtypes), batch_size)


def pair_labeled_domains(source, target, *, source_weight=0.5, epoch="longer"):
    """Pair labeled batches of two domains, for a model that tells them apart.

    What `fit` of `HybridSharing` takes, and of a model with alignment whose
    `labels_both` is set. The labels and weights of a pair are those of the source batch
    followed by those of the target batch.

    Args:
        source: Batched dataset of `(x, y)`.
        target: Batched dataset of `(x, y)`; `x` and `y` as in `source` but for the
            batch size.
        source_weight: Share of the source in the loss, from 0 to 1. At either end one
            domain alone is learned from; the other is there to be aligned.
        epoch: `"source"`: one pass over the source, the target repeats or is cut;
            `"target"`: the reverse; `"longer"`: one pass over the longer of the two,
            the other repeats.

    Returns:
        `tf.data.Dataset` of `((source_x, target_x), y, sample_weight)`, the weights of
        mean 1 in each batch, with the `class_names` of the target.

    Raises:
        TypeError: If one of the two is no `tf.data.Dataset`.
        ValueError: As `pair_domains`, or if labels do not fit together, or the share
            is out of range.

    Example:

    >>> source = tf.data.Dataset.from_tensor_slices((np.zeros((6, 2)), [0, 1] * 3))
    >>> target = tf.data.Dataset.from_tensor_slices((np.ones((2, 2)), [1, 0]))
    >>> (_, _), y, weights = next(
    ...     iter(tft.pair_labeled_domains(source.batch(6), target.batch(2)))
    ... )
    >>> y.numpy().tolist(), [f"{weight:.2f}" for weight in weights[-3:]]
    ([0, 1, 0, 1, 0, 1, 1, 0], ['0.67', '2.00', '2.00'])
    """
    check_choice("epoch", epoch, EPOCHS_OF_LABELED)
    check_number("source_weight", source_weight, 0, 1)
    dtypes = _check_labeled(source, target)

    def join(one, other):
        source_x, source_y = _cast(dtypes, *one)
        target_x, target_y = _cast(dtypes, *other)
        sizes = [tf.shape(y)[0] for y in (source_y, target_y)]
        num_source, num_target = (tf.cast(size, "float32") for size in sizes)
        weights = _row_weights(num_source, num_target, source_weight)
        y = tf.concat([source_y, target_y], 0)
        rows = [tf.fill([n], w) for n, w in zip(sizes, weights, strict=True)]
        return (source_x, target_x), y, tf.concat(rows, 0)

    def rebuild(source, target):
        pairs = zip_domains(source, target, epoch).map(join, tf.data.AUTOTUNE)
        return pairs.prefetch(tf.data.AUTOTUNE)

    pairs = rebuild(source, target)
    pairs.parts, pairs.rebuild = (source, target), rebuild
    pairs.class_names = getattr(target, "class_names", None)
    return pairs


def _check_share(source_weight):
    check_number("source_weight", source_weight, 0, 1)
    if source_weight in (0, 1):
        raise ValueError(
            "`source_weight` must be above 0 and below 1. Received: "
            f"source_weight={source_weight}. Train on one domain alone instead."
        )


def _row_weights(num_source, num_target, source_weight):
    total = num_source + num_target
    return source_weight * total / num_source, (1 - source_weight) * total / num_target


def _join_arrays(source, target, source_weight):
    parts = []
    for name, data in (("source", source), ("target", target)):
        arrays = [np.asarray(part) for part in data]
        if len(arrays) != 2 or not len(arrays[0]) or len(arrays[0]) != len(arrays[1]):
            raise ValueError(
                f"`{name}` given as arrays must be (x, y) with a row in each for every "
                f"example. Received: {name} of shapes {[x.shape for x in arrays]}."
            )
        parts.append(arrays)
    for x, y in zip(*parts, strict=True):
        if x.shape[1:] != y.shape[1:]:
            raise ValueError(
                "`source` and `target` must hold inputs and labels of one shape. "
                f"Received: source {x.shape}, target {y.shape}."
            )
    counts = [len(arrays[0]) for arrays in parts]
    weights = _row_weights(counts[0], counts[1], source_weight)
    x, y = (np.concatenate(pair) for pair in zip(*parts, strict=True))
    return x, y, np.repeat(np.array(weights, "float32"), counts)


def _check_labeled(source, target):
    """Return the dtypes of x and y that both can be cast to."""
    specs = [read_spec(n, x) for n, x in (("source", source), ("target", target))]
    for name, spec in zip(("source", "target"), specs, strict=True):
        if len(spec) != 2:
            raise ValueError(
                f"`{name}` must be a dataset of (x, y), with labels. "
                f"Received: {name} with elements {spec!r}."
            )
    check_alike(specs[0][0], specs[1][0])
    shapes = [spec[1].shape[1:] for spec in specs]
    if not shapes[0].is_compatible_with(shapes[1]):
        raise ValueError(
            "`source` and `target` must have labels of one shape. Received: source "
            f"labels {tuple(shapes[0])}, target labels {tuple(shapes[1])}. Load both "
            "with the same classes."
        )
    pairs = [(a.dtype, b.dtype) for a, b in zip(*specs, strict=True)]
    return [target if one == target else tf.float32 for one, target in pairs]


def _cast(dtypes, x, y):
    return tuple(
        part if part.dtype == dtype else tf.cast(part, dtype)
        for part, dtype in zip((x, y), dtypes, strict=True)
    )


def _count_rows(dataset):
    known = vars(dataset).get("num_examples")
    if known:
        return known
    labels = dataset.map(lambda x, y: tf.shape(y, tf.int64)[0], tf.data.AUTOTUNE)
    return int(labels.reduce(np.int64(0), lambda total, rows: total + rows))


def _weigh(dataset, weight, dtypes):
    weight = np.float32(weight)
    return dataset.map(
        lambda x, y: (*_cast(dtypes, x, y), tf.fill(tf.shape(y)[:1], weight)),
        tf.data.AUTOTUNE,
    )


def _pass_on(source, target, mixed, how, batch_size):
    """Hang on the mixed rows what both datasets say of themselves."""
    weights, dtypes = how
    mixed.class_names = vars(target).get("class_names")
    both = [vars(source), vars(target)]
    if not all("unshuffled" in told for told in both):
        return mixed
    names = [told["fingerprint"] for told in both]
    fixed = [
        _weigh(told["unshuffled"], weight, dtypes)
        for told, weight in zip(both, weights, strict=True)
    ]
    first = fixed[0].concatenate(fixed[1])
    common = {
        "class_names": mixed.class_names,
        "num_examples": mixed.num_examples,
        "batch_size": batch_size,
    }
    name = digest(["joined", names, list(weights)]) if all(names) else None
    set_attributes(first, fingerprint=name, **common)
    augmented = any(told["augmented"] for told in both)
    return set_attributes(
        mixed, fingerprint=name, unshuffled=first, augmented=augmented, **common
    )
