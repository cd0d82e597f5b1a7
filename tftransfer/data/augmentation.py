"""Random changes to training images: plain functions of an image and a seed."""

import tensorflow as tf

from tftransfer.checks import check_choice


def flip(image, seed):
    """Mirror left to right, half of the time."""
    return tf.image.stateless_random_flip_left_right(image, seed)


def flip_vertical(image, seed):
    """Mirror top to bottom, half of the time."""
    return tf.image.stateless_random_flip_up_down(image, seed)


def rotate90(image, seed):
    """Turn by 0, 1, 2 or 3 quarter turns; an oblong image by none or two."""
    turns = tf.random.stateless_uniform((), seed, 0, 4, tf.int32)
    shape = tf.shape(image)
    turns = tf.where(shape[0] == shape[1], turns, 2 * (turns % 2))
    turned = tf.image.rot90(image, turns)
    if image.shape[0] == image.shape[1]:
        return tf.ensure_shape(turned, image.shape)
    return tf.reshape(turned, shape)


def crop(image, seed):
    """Shift by up to an eighth of each side, filling up with the mirrored border."""
    shape = tf.shape(image)
    margin = shape[:2] // 8
    paddings = tf.pad(tf.stack([margin, margin], axis=1), [[0, 1], [0, 0]])
    padded = tf.pad(image, paddings, mode="SYMMETRIC")
    cut = tf.image.stateless_random_crop(padded, shape, seed)
    return tf.ensure_shape(cut, image.shape)


def brightness(image, seed):
    """Add one value from -25 to 25 to every pixel."""
    added = tf.random.stateless_uniform((), seed, -25.0, 25.0)
    return _to_pixels(tf.cast(image, tf.float32) + added, image.dtype)


def contrast(image, seed):
    """Multiply the distance from each channel's mean by 0.8 to 1.25."""
    factor = tf.exp(tf.random.stateless_uniform((), seed, -0.2231, 0.2231))
    pixels = tf.cast(image, tf.float32)
    mean = tf.reduce_mean(pixels, axis=(0, 1), keepdims=True)
    return _to_pixels(mean + factor * (pixels - mean), image.dtype)


AUGMENTATIONS = {
    function.__name__: function
    for function in (flip, flip_vertical, rotate90, crop, brightness, contrast)
}


def augment_image(image, seed, augment):
    """Change one image at random, in the order of `augment`.

    The same image, seed and names give the same result, eagerly and inside
    `Dataset.map`. Loaders call it on training images only, before they resize.

    Args:
        image: Tensor `(height, width, channels)`, uint8 or float32, values 0..255.
        seed: Integer tensor of shape `(2,)`.
        augment: Names out of `AUGMENTATIONS`, or functions `(image, seed) -> image`.

    Returns:
        Tensor of the same shape and dtype, values 0..255.

    Raises:
        ValueError: If a name is unknown.

    Example:

    >>> image = np.array([[[1], [2]]], "uint8")
    >>> augment_image(image, (0, 1), ("flip",)).numpy().ravel().tolist()
    [2, 1]
    """
    image = tf.convert_to_tensor(image)
    for position, step in enumerate(check_augment(augment)):
        function = step if callable(step) else AUGMENTATIONS[step]
        image = function(
            image, tf.random.experimental.stateless_fold_in(seed, position)
        )
    return image


def check_augment(augment):
    """Return `augment` as a tuple of names and functions; one alone may come bare."""
    if augment is None:
        return ()
    if isinstance(augment, str) or callable(augment):
        augment = (augment,)
    for step in augment:
        if not callable(step):
            check_choice("augment", step, AUGMENTATIONS)
    return tuple(augment)


def _to_pixels(pixels, dtype):
    pixels = tf.clip_by_value(pixels, 0.0, 255.0)
    return tf.cast(tf.round(pixels) if dtype.is_integer else pixels, dtype)
