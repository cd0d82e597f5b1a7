"""The one way from encoded image bytes to pixels, for loaders and exports alike."""

import tensorflow as tf

IMAGE_SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png")


def decode_image(encoded, channels=3):
    """Decode one JPEG, PNG, BMP or GIF (its first frame) to uint8 pixels.

    Grey images are repeated to three channels, transparency is dropped unless four
    channels are asked for. Runs eagerly and in a graph, so that a loader and an
    exported model agree to the last bit.

    Args:
        encoded: Scalar string tensor or `bytes`, the whole file.
        channels: 1 (grey), 3 (RGB) or 4 (RGB and alpha, opaque where there is none).

    Returns:
        uint8 tensor of shape `(height, width, channels)`, values 0..255.

    Raises:
        tf.errors.InvalidArgumentError: If the bytes are none of the four formats.

    Example:

    >>> png = tf.io.encode_png(np.full((2, 3, 1), 7, "uint8"))
    >>> tuple(decode_image(png).shape)
    (2, 3, 3)
    """
    encoded = tf.convert_to_tensor(encoded)
    # TensorFlow converts channels for PNG and JPEG; for BMP and GIF it does not.
    image = tf.case(
        [
            (_starts_with(encoded, b"BM"), lambda: _decode_bmp(encoded, channels)),
            (_starts_with(encoded, b"\x89PNG"), lambda: _decode_png(encoded, channels)),
            (
                _starts_with(encoded, b"\xff\xd8"),
                lambda: _decode_jpg(encoded, channels),
            ),
        ],
        default=lambda: _from_color(_decode_color(encoded), channels),
    )
    image.set_shape((None, None, channels))
    return image


def _starts_with(encoded, magic):
    return tf.strings.substr(encoded, 0, len(magic)) == magic


def _decode_png(encoded, channels):
    return tf.io.decode_png(encoded, channels=channels)


def _decode_jpg(encoded, channels):
    if channels == 1:
        return tf.io.decode_jpeg(encoded, channels=1)
    return _from_color(_decode_color(encoded), channels)


def _decode_color(encoded):
    return tf.io.decode_image(encoded, channels=3, expand_animations=False)


def _decode_bmp(encoded, channels):
    stored = tf.io.decode_bmp(encoded)
    bits_per_pixel = _read_integer(encoded, 28, tf.uint16)
    color = tf.cond(
        bits_per_pixel == 8,
        lambda: tf.gather(_read_palette(encoded), tf.cast(stored[..., 0], tf.int32)),
        lambda: stored[..., :3],
    )
    if channels == 4:
        opaque = tf.fill(tf.shape(color[..., :1]), tf.constant(255, tf.uint8))
        has_alpha = tf.shape(stored)[-1] == 4
        alpha = tf.cond(has_alpha, lambda: stored[..., 3:4], lambda: opaque)
        return tf.concat([color, alpha], axis=-1)
    return _from_color(color, channels)


def _read_integer(encoded, offset, dtype):
    raw = tf.strings.substr(encoded, offset, dtype.size)
    return tf.cast(tf.io.decode_raw(raw, dtype)[0], tf.int32)


def _read_palette(encoded):
    # BITMAPINFOHEADER: its size at byte 14, then the colors as blue, green, red, 0.
    start = 14 + _read_integer(encoded, 14, tf.int32)
    pixels_start = _read_integer(encoded, 10, tf.int32)
    raw = tf.strings.substr(encoded, start, pixels_start - start)
    return tf.reshape(tf.io.decode_raw(raw, tf.uint8), (-1, 4))[:, 2::-1]


def _from_color(color, channels):
    color = tf.ensure_shape(color, (None, None, 3))
    if channels == 1:
        return tf.image.rgb_to_grayscale(color)
    if channels == 4:
        opaque = tf.fill(tf.shape(color[..., :1]), tf.constant(255, tf.uint8))
        return tf.concat([color, opaque], axis=-1)
    return color
