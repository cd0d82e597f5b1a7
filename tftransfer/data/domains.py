"""Pairs of batches from two domains, for training with alignment."""

import functools

import tensorflow as tf

from tftransfer.checks import check_choice
from tftransfer.data.unlabeled import drop_labels

EPOCHS = ("source", "longer")


def pair_domains(source, target, *, epoch="source"):
    """Pair labeled source batches with unlabeled target batches.

    What `fit` of a model with alignment takes. Labels of the target are dropped here,
    so that nothing behind this door can learn from them. The batches of the two
    domains may differ in size; both keep their own order, so give shuffled datasets
    (the training sets of our loaders are): where the target is the longer one, every
    epoch then meets other target batches.

    Args:
        source: Batched dataset of `(x, y)`.
        target: Batched dataset of `x`, or of `(x, y)`; `x` as in `source` but for the
            batch size.
        epoch: `"source"`: one pass over the source, the target repeats or is cut;
            `"longer"`: one pass over the longer of the two, the other repeats.

    Returns:
        `tf.data.Dataset` of `((source_x, target_x), source_y)`, with the
        `class_names` of the source, the `epoch`, and `domains`: the source and the
        target without labels, as given otherwise.

    Raises:
        TypeError: If one of the two is no `tf.data.Dataset`.
        ValueError: If one is unbatched, empty or endless, the source has no labels,
            or their inputs do not fit together.

    Example:

    >>> source = tf.data.Dataset.from_tensor_slices((np.zeros((4, 2)), [0, 1, 0, 1]))
    >>> target = tf.data.Dataset.from_tensor_slices(np.ones((3, 2)))
    >>> pairs = pair_domains(source.batch(2), target.batch(3))
    >>> [(tuple(s.shape), tuple(t.shape), y.numpy().tolist()) for (s, t), y in pairs]
    [((2, 2), (3, 2), [0, 1]), ((2, 2), (3, 2), [0, 1])]
    """
    check_choice("epoch", epoch, EPOCHS)
    source_spec = read_spec("source", source)
    target_spec = read_spec("target", target)
    if len(source_spec) != 2:
        raise ValueError(
            "`source` must be a dataset of (x, y), with labels. "
            f"Received: source.element_spec={source.element_spec!r}."
        )
    check_alike(source_spec[0], target_spec[0])
    if len(target_spec) == 2:
        print("pair_domains: the labels of `target` are dropped, nothing learns them.")
        target = drop_labels(target)
    is_mixed = source_spec[0].dtype != target_spec[0].dtype
    rebuild = functools.partial(_pair, epoch=epoch, is_mixed=is_mixed)
    pairs = rebuild(source, target)
    pairs.parts, pairs.rebuild = (source, target), rebuild
    pairs.class_names = getattr(source, "class_names", None)
    pairs.domains, pairs.epoch = (source, target), epoch
    return pairs


def _pair(source, target, *, epoch, is_mixed):
    pairs = zip_domains(source, target, epoch).map(
        lambda labeled, other: _join(labeled, other, is_mixed), tf.data.AUTOTUNE
    )
    return pairs.prefetch(tf.data.AUTOTUNE)


def zip_domains(source, target, epoch):
    """Return pairs of batches, for as long as `epoch` of `pair_domains` says.

    `"target"` is one pass over the target. A dataset may have one of its own for being
    `repeated`.
    """
    if epoch == "target":
        return tf.data.Dataset.zip(_repeat(source), target)
    source_steps, target_steps = int(source.cardinality()), int(target.cardinality())
    if epoch == "source" or 0 < target_steps <= source_steps:
        return tf.data.Dataset.zip(source, _repeat(target))
    if source_steps < 0 or target_steps < 0:
        raise ValueError(
            "`epoch` must be 'source' where the number of batches is not known. "
            f"Received: epoch={epoch!r}. "
            "Or apply tf.data.experimental.assert_cardinality to both datasets."
        )
    return tf.data.Dataset.zip(_repeat(source), target)


def _repeat(dataset):
    return vars(dataset).get("repeated") or dataset.repeat()


def _join(labeled, other, is_mixed):
    source, label = labeled
    target = other[0] if isinstance(other, tuple) else other
    if is_mixed:
        source, target = tf.cast(source, tf.float32), tf.cast(target, tf.float32)
    return (source, target), label


def read_spec(name, dataset):
    """Return the tuple of specs of a batched, finite dataset of x or (x, y)."""
    if not isinstance(dataset, tf.data.Dataset):
        raise TypeError(
            f"`{name}` must be a batched tf.data.Dataset. "
            f"Received: {name} of type {type(dataset).__name__}. "
            "Use tf.data.Dataset.from_tensor_slices(arrays).batch(32)."
        )
    spec = dataset.element_spec
    spec = spec if isinstance(spec, tuple) else (spec,)
    is_plain = all(isinstance(part, tf.TensorSpec) for part in spec)
    if not is_plain or len(spec) > 2 or not _is_batched(spec):
        raise ValueError(
            f"`{name}` must hold batches of x or (x, y), one tensor each. "
            f"Received: {name}.element_spec={dataset.element_spec!r}. "
            f"Call {name}.batch(batch_size) first."
        )
    cardinality = int(dataset.cardinality())
    if cardinality in (0, tf.data.INFINITE_CARDINALITY):
        raise ValueError(
            f"`{name}` must hold at least one batch and come to an end. "
            f"Received: {name} with {'no' if cardinality == 0 else 'endless'} batches."
        )
    return spec


def _is_batched(spec):
    shapes = [part.shape for part in spec]
    if any(shape.rank is None for shape in shapes):
        return True
    if any(shape.rank == 0 for shape in shapes) or shapes[0].rank == 3:
        return False  # one image of three axes is far likelier than a batch of series
    return shapes[0][0] == shapes[-1][0]


def check_alike(source, target):
    """Raise `ValueError` unless inputs of these two specs can go to one model."""
    shapes = source.shape[1:], target.shape[1:]
    if not shapes[0].is_compatible_with(shapes[1]):
        raise ValueError(
            "`source` and `target` must hold inputs of one shape. "
            f"Received: source inputs {tuple(shapes[0])}, target inputs "
            f"{tuple(shapes[1])}. Load both with the same image_size."
        )
    texts = tf.string in (source.dtype, target.dtype)
    if texts and source.dtype != target.dtype:
        raise ValueError(
            "`source` and `target` must both hold images or both hold texts. "
            f"Received: source {source.dtype.name}, target {target.dtype.name}."
        )
