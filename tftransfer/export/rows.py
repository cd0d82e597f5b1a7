"""Rows on which an exported model is compared with the live one."""

import itertools

import numpy as np
import tensorflow as tf

from tftransfer.decoding import decode_image
from tftransfer.export.inputs import IMAGES, NUMBERS, TEXTS

MOST_ROWS = 16
MADE_SIZES = ((7, 5), (64, 64), (33, 47), (129, 200), (224, 224), (301, 150))
MADE_TEXTS = (
    "",
    "good",
    "A plain sentence, with a comma.",
    "Ünïcode: 太陽",
    "x " * 300,
)
FREE_LENGTH = 8


def take_rows(examples, model_input):
    """Take up to `MOST_ROWS` rows of a user's data, or make some.

    Args:
        examples: `tf.data.Dataset` of images or of `(image, label)`, batched or not;
            array `(n, height, width, channels)`; list of arrays of any size; texts or
            numbers for a model that takes those; `None` to make rows.
        model_input: The `ModelInput` of the model.

    Returns:
        List of arrays without batch dimension: uint8 images (float pixels are rounded,
        as files can hold nothing else), `str` or `bytes`, or numbers.

    Raises:
        TypeError: If `examples` is nothing to read rows from.
        ValueError: If there is no row, or the rows do not fit the model.
    """
    if examples is None:
        return make_rows(model_input)
    read = read_rows_and_labels(examples, model_input)
    rows = [row for row, _ in itertools.islice(read, MOST_ROWS)]
    if not rows:
        raise ValueError(
            "`examples` must hold at least one row. Received: examples with 0 rows. "
            "Pass some of the images the model was tested on, or leave it out."
        )
    if model_input.kind == IMAGES:
        rows = [to_pixels(row) for row in rows]
    for row in rows:
        check_row(row, model_input)
    return rows


def make_rows(model_input):
    """Make rows from a fixed seed: images of odd sizes, sentences or numbers."""
    if model_input.kind == TEXTS:
        texts = np.array(MADE_TEXTS, object)
        return list(texts.reshape((-1, *model_input.shape[1:])))
    rng = np.random.default_rng(0)
    if model_input.kind == NUMBERS:
        shape = [size or FREE_LENGTH for size in model_input.shape[1:]]
        numbers = rng.normal(size=(len(MADE_SIZES), *shape))
        return list(numbers.astype(model_input.dtype))
    # A network without a resizing of its own may not bear small images.
    sizes = MADE_SIZES if model_input.resizing else [(64, 64)] * len(MADE_SIZES)
    return [_make_image(rng, *size, model_input.channels) for size in sizes]


def as_batch(row, model_input):
    """Return a row as the live model takes it, a batch of one.

    An image goes through a PNG file, as what is served does.
    """
    batch = tf.convert_to_tensor(row)[tf.newaxis]
    if model_input.kind != IMAGES:
        return batch
    if model_input.is_decodable:
        encoded = tf.io.encode_png(row)
        batch = decode_image(encoded, model_input.channels)[tf.newaxis]
    return model_input.fit_size(batch)


def _make_image(rng, height, width, channels):
    # Smooth shading with some noise on it: neither flat nor only noise.
    shading = np.add.outer(np.linspace(0, 150, height), np.linspace(0, 60, width))
    noise = rng.integers(0, 45, (height, width, channels))
    return (shading[..., None] + noise).astype("uint8")


def read_rows_and_labels(data, model_input, name="examples"):
    """Read a user's rows one by one.

    Args:
        data: See `take_rows`.
        model_input: The `ModelInput` of the model.
        name: Name of the argument, for messages.

    Yields:
        Tuple of a row and its label, `None` where there is none.

    Raises:
        TypeError: If `data` is nothing to read rows from.
    """
    rank = len(model_input.shape)
    if isinstance(data, tf.data.Dataset):
        for element in data:
            rows, labels = _take_apart(element)
            yield from _split(rows.numpy(), labels, rank)
    elif hasattr(data, "__array__"):
        yield from _split(np.asarray(data), None, rank)
    elif isinstance(data, (list, tuple)):
        for row in data:
            is_text = isinstance(row, (str, bytes))
            yield np.asarray(row, object if is_text else None), None
    else:
        raise TypeError(
            f"`{name}` must be a tf.data.Dataset, an array or a list of arrays. "
            f"Received: {name}={data!r} of type {type(data).__name__}. "
            "Pass for example the test dataset."
        )


def to_pixels(image):
    """Return an image as uint8; float pixels are rounded."""
    if image.dtype == np.uint8:
        return image
    return np.clip(np.rint(image.astype("float32")), 0, 255).astype("uint8")


def _take_apart(element):
    labels = None
    # Of ((source, target), labels) the first rows need not be those labeled.
    if isinstance(element, (tuple, list)) and len(element) > 1:
        labels = None if isinstance(element[0], (tuple, list)) else element[1]
    while isinstance(element, (tuple, list)):
        element = element[0]
    return element, labels


def _split(array, labels, rank):
    """Return pairs for the rows of a batch, or for the one row that was not batched."""
    array = np.asarray(array)
    if array.ndim != rank:
        return [(array, None if labels is None else np.asarray(labels))]
    labels = [None] * len(array) if labels is None else np.asarray(labels)
    return zip(array, labels, strict=True)


def check_row(row, model_input, name="examples"):
    """Raise `ValueError` unless a row has a shape that the model takes."""
    wanted = model_input.shape[1:]
    if model_input.kind == IMAGES:
        wanted = (None, None, model_input.channels)
    fits = np.ndim(row) == len(wanted) and all(
        size in (None, given) for size, given in zip(wanted, np.shape(row), strict=True)
    )
    if not fits:
        raise ValueError(
            f"`{name}` must hold rows of shape {wanted}. "
            f"Received: a row of shape {np.shape(row)}. "
            "Pass what the model takes, for example the test dataset."
        )
