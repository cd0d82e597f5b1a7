"""What the model's `Resizing` layer does, in a fraction of its processor time.

TensorFlow filters rows at full speed, but columns with an inner loop over three
channels, which is most of the cost. Here both passes go by rows: the columns travel as
channels, then the image is turned. The arithmetic is the same, bit for bit. A small
image that is enlarged on both sides needs no filter at all.
"""

import keras
import tensorflow as tf

KERNELS = {
    "bilinear": "triangle",
    "bicubic": "keyscubic",
    "lanczos3": "lanczos3",
    "lanczos5": "lanczos5",
}
LARGEST_PLAIN = 256  # pixels


def resize_as(resizing, images):
    """Resize as a layer made by `build_resizing` would, to unrounded float32 pixels.

    Equal to `resizing(tf.cast(images, tf.float32))` to the last bit; where bilinear
    interpolation enlarges both sides of an image of known size, up to 256 pixels, to
    within 0.016 of 255 gray levels (0.002 up to 32 pixels; 224 out of 32 or 28:
    0.0001). A layer that crops, pads or does something of its own is called as it is.

    Args:
        resizing: `keras.layers.Resizing`.
        images: Tensor `(height, width, channels)` or
            `(batch, height, width, channels)`, any numeric dtype, values 0..255.

    Returns:
        float32 tensor of the same rank, in the same value range.

    Example:

    >>> resizing = keras.layers.Resizing(2, 2, antialias=True, dtype="float32")
    >>> images = np.arange(48, dtype="uint8").reshape(4, 4, 3)
    >>> bool(np.all(resize_as(resizing, images) == resizing(images.astype("float32"))))
    True
    """
    images = tf.convert_to_tensor(images)
    if not _is_filter(resizing):
        return resizing(tf.cast(images, tf.float32))
    if images.shape.rank == 3:
        return resize_as(resizing, images[None])[0]
    if images.dtype not in (tf.uint8, tf.float32):
        images = tf.cast(images, tf.float32)
    size = resizing.height, resizing.width
    if resizing.interpolation == "bilinear" and _is_enlarged(images, size):
        return tf.image.resize(images, size)
    kernel = KERNELS[resizing.interpolation]
    columns = _turn(_resize_rows(images, size[0], kernel))
    return _turn(_resize_rows(columns, size[1], kernel))


def _is_filter(layer):
    return (
        type(layer) is keras.layers.Resizing
        and layer.antialias
        and layer.interpolation in KERNELS
        and not (layer.crop_to_aspect_ratio or layer.pad_to_aspect_ratio)
        and layer.data_format == "channels_last"
        and layer.compute_dtype == "float32"
    )


def _is_enlarged(images, size):
    sides = images.shape[1:3].as_list()
    # The plain kernel rounds positions: its error grows with the side.
    return all(
        side is not None and side <= min(wanted, LARGEST_PLAIN)
        for side, wanted in zip(sides, size, strict=True)
    )


def _resize_rows(images, height, kernel):
    batch, rows, columns, channels = tf.unstack(tf.shape(images))
    resized = tf.raw_ops.ScaleAndTranslate(
        images=tf.reshape(images, (batch, rows, 1, columns * channels)),
        size=(height, 1),
        scale=tf.stack([height / tf.cast(rows, tf.float32), 1.0]),
        translation=(0.0, 0.0),
        kernel_type=kernel,
    )
    resized = tf.reshape(resized, (batch, height, columns, channels))
    return tf.ensure_shape(resized, (images.shape[0], height, *images.shape[2:]))


def _turn(images):
    return tf.transpose(images, (0, 2, 1, 3))
