"""The one way from examples to batches, taken by every loader.

    examples -> [decode -> cache] -> shuffle -> decode -> augment -> batch -> resize

Shuffling and augmentation happen in training only. The shuffle buffer holds what the
examples are made of (paths, encoded bytes), not resized floats. Images that all have
one size are resized batch by batch, which is cheaper, with equal results. Sources that
are all grey are decoded and resized with one channel, and made three at the end.
"""

import dataclasses
import functools

import keras
import tensorflow as tf

from tftransfer.checks import check_whole_number
from tftransfer.data.augmentation import augment_image, check_augment
from tftransfer.data.fast_resizing import resize_as
from tftransfer.data.fingerprints import make_fingerprint
from tftransfer.resizing import build_resizing

AUTOTUNE = tf.data.AUTOTUNE


@dataclasses.dataclass
class Preparation:
    """How images become batches; checked when made, before any file is read.

    Attributes:
        image_size: `(height, width)`, an `int` for a square, a `Resizing` layer (such
            as `model.get_layer("resizing")`), or None to keep the size.
        batch_size: Number of images in a batch.
        seed: Whole number >= 0, for the order and the augmentation.
        augment: Names out of `AUGMENTATIONS`, or functions `(image, seed) -> image`.
        crop: Whether to cut to the aspect ratio of `image_size` instead of squeezing.
        interpolation: One of `tftransfer.resizing.INTERPOLATIONS`.
        cache: Whether to keep decoded uint8 images in memory after the first epoch.

    Raises:
        TypeError: If a value has the wrong type.
        ValueError: If a value is out of range.
    """

    image_size: object = None
    batch_size: int = 32
    seed: int = 0
    augment: object = ()
    crop: bool = False
    interpolation: str = "bilinear"
    cache: bool = False

    def __post_init__(self):
        check_whole_number("batch_size", self.batch_size)
        check_whole_number("seed", self.seed, minimum=0)
        self.augment = check_augment(self.augment)
        self.resizing = self._build_resizing()

    def _build_resizing(self):
        if self.image_size is None or isinstance(self.image_size, keras.layers.Layer):
            return self.image_size
        return build_resizing(
            self.image_size, interpolation=self.interpolation, crop=self.crop
        )


def make_dataset(
    examples,
    decode,
    preparation,
    *,
    training=False,
    shape=None,
    class_names=None,
    shuffle_buffer=None,
    identity=None,
    shuffled_examples=None,
    gray=False,
):
    """Make batches of `(image, label)` from unbatched examples.

    Args:
        examples: Finite `tf.data.Dataset` of `(source, label)`, always in one order.
        decode: Function from one source to a uint8 image `(height, width, channels)`,
            run eagerly or in a graph.
        preparation: A `Preparation`.
        training: Whether to reshuffle before every epoch and to augment.
        shape: `(height, width, channels)` where all images share it, else None.
        class_names: List of `str` to hang on the result, or None.
        shuffle_buffer: Number of examples to shuffle among; None for all.
        identity: What tells these examples, as decoded, from all others (see
            `make_fingerprint`), or None.
        shuffled_examples: The same examples in a new order at each reading, for
            training, where there are more than a shuffle buffer holds; or None.
        gray: Whether `decode` gives one channel, to be repeated to three.

    Returns:
        `tf.data.Dataset` of batches: uint8 pixels as decoded, or unrounded float32
        pixels where they were resized, both 0..255. Attributes: `class_names`;
        `shuffles` and `augmented`, `bool`; `fingerprint`, equal for equal rows in
        every process, or None; and `unshuffled`, the same images in their first order
        and not augmented, with the same attributes. That one also has `sources`, the
        examples, and `prepare`, which makes such batches of any of them elsewhere.

    Example:

    >>> examples = tf.data.Dataset.from_tensor_slices(([7, 9], [0, 1]))
    >>> paint = lambda value: tf.fill((2, 2, 3), tf.cast(value, tf.uint8))
    >>> batches = make_dataset(examples, paint, Preparation(image_size=4))
    >>> images, labels = next(iter(batches))
    >>> tuple(images.shape), float(images[1, 0, 0, 0]), labels.numpy().tolist()
    ((2, 4, 4, 3), 9.0, [0, 1])
    """
    images = examples
    if preparation.cache:
        images = _decode_all(examples, decode, shape).cache()
    unshuffled = _batch(images, decode, preparation, shape, gray=gray)
    set_attributes(
        unshuffled,
        batch_size=preparation.batch_size,
        class_names=class_names,
        fingerprint=make_fingerprint(identity, preparation),
        num_examples=int(examples.cardinality()),
    )
    uncached = dataclasses.replace(preparation, augment=(), cache=False)
    unshuffled.sources, unshuffled.prepare = (
        examples,
        functools.partial(
            _batch, decode=decode, preparation=uncached, shape=shape, gray=gray
        ),
    )
    if not training:
        return unshuffled
    if shuffled_examples is not None and not preparation.cache:
        images = shuffled_examples
    images = _shuffle(images, preparation.seed, shuffle_buffer)
    augment = preparation.augment
    return set_attributes(
        _batch(images, decode, preparation, shape, augment, gray=gray),
        batch_size=preparation.batch_size,
        class_names=class_names,
        fingerprint=make_fingerprint(identity, preparation, augment),
        unshuffled=unshuffled,
        augmented=bool(augment),
        num_examples=unshuffled.num_examples,
    )


def set_attributes(
    dataset,
    *,
    fingerprint,
    batch_size=None,
    class_names=None,
    unshuffled=None,
    augmented=False,
    num_examples=None,
):
    """Hang on a dataset what later rooms ask it; `tf.data` keeps none of it in a map.

    Args:
        dataset: `tf.data.Dataset`, changed in place.
        fingerprint: `str`, or None where the rows cannot be told from others.
        batch_size: Rows in a batch, or None where that is not known.
        class_names: List of `str`, or None.
        unshuffled: The dataset with the same rows in their first order and not
            augmented, or None where `dataset` is that itself.
        augmented: Whether images are changed at random.
        num_examples: Rows in all; None, or a number below 0, where it is not known.

    Returns:
        `dataset`, with `batch_size`, `class_names`, `fingerprint` (where none was hung
        on it, `tf.data` has a method of that name: ask `vars(dataset)`), `shuffles`,
        `augmented`, `num_examples` and `unshuffled`.
    """
    dataset.class_names, dataset.fingerprint = class_names, fingerprint
    dataset.batch_size = batch_size
    is_known = num_examples is not None and num_examples >= 0
    dataset.num_examples = num_examples if is_known else None
    dataset.shuffles, dataset.augmented = unshuffled is not None, augmented
    dataset.unshuffled = dataset if unshuffled is None else unshuffled
    return dataset


def _decode_all(examples, decode, shape):
    return examples.map(
        lambda source, label: (_decode_one(source, decode, shape), label), AUTOTUNE
    )


def _decode_one(source, decode, shape):
    image = decode(source)
    return tf.ensure_shape(image, shape) if shape else image


def _shuffle(examples, seed, buffer_size):
    buffer_size = buffer_size or max(1, int(examples.cardinality()))
    return examples.shuffle(buffer_size, seed=seed, reshuffle_each_iteration=True)


def _batch(examples, decode, preparation, shape, augment=(), *, gray=False):
    dataset = examples
    if not preparation.cache:
        dataset = _decode_all(dataset, decode, shape)
    if augment:
        dataset = dataset.map(_to_color, AUTOTUNE) if gray else dataset
        dataset = _augment_all(dataset, augment, preparation.seed)
    resizing = preparation.resizing
    if resizing is not None and not shape:
        dataset = _resize_all(dataset, resizing)
    dataset = dataset.batch(preparation.batch_size, num_parallel_calls=AUTOTUNE)
    if resizing is not None and shape:
        dataset = _resize_all(dataset, resizing)
    if gray and not augment:
        dataset = dataset.map(_to_color, AUTOTUNE)
    return dataset.prefetch(AUTOTUNE)


def _to_color(images, labels):
    return tf.repeat(images, 3, axis=-1), labels


def _augment_all(images, augment, seed):
    seeds = tf.data.Dataset.random(seed=seed, rerandomize_each_iteration=True)
    pairs = tf.data.Dataset.zip(images, seeds.batch(2, drop_remainder=True))
    return pairs.map(
        lambda example, seed: (augment_image(example[0], seed, augment), example[1]),
        AUTOTUNE,
    )


def _resize_all(images, resizing):
    return images.map(
        lambda image, label: (resize_as(resizing, image), label), AUTOTUNE
    )
