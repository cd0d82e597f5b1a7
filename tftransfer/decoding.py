"""The one way from encoded image bytes to pixels, for loaders and exports alike."""

import tensorflow as tf

IMAGE_SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png")

_MOST_PIXELS = 178_956_970  # of a JPEG or PNG, as in Pillow: half a gigabyte in color
# The least that pixels can take: one bit for each 8x8 block in Huffman-coded JPEGs, and
# for PNGs one bit each, of which deflate makes a byte of 1032.
_MOST_PIXELS_PER_BYTE = {"JPEG": 8 * 64, "PNG": 8 * 1032}


def decode_image(encoded, channels=3):
    """Decode one JPEG, PNG, BMP or GIF (its first frame) to uint8 pixels.

    Grey images are repeated to three channels, transparency is dropped unless four
    channels are asked for (transparent pixels of a GIF come out black). Runs eagerly
    and in a graph, so that a loader and an exported model agree to the last bit.
    Pixels come as they are stored: a camera's orientation tag is not applied.

    Args:
        encoded: Scalar string tensor or `bytes`, the whole file. BMP with 8, 24 or 32
            bits a pixel.
        channels: 1 (grey), 3 (RGB) or 4 (RGB and alpha, opaque where there is none).

    Returns:
        uint8 tensor of shape `(height, width, channels)`, values 0..255.

    Raises:
        ValueError: If `channels` is another number, or `encoded` is a batch of files.
        tf.errors.InvalidArgumentError: If the bytes are no whole such image.

    Example:

    >>> png = tf.io.encode_png(np.full((2, 3, 1), 7, "uint8"))
    >>> tuple(decode_image(png).shape)
    (2, 3, 3)
    """
    if channels not in (1, 3, 4):
        raise ValueError(
            "`channels` must be one of [1, 3, 4]. "
            f"Received: channels={channels!r}. Decode 3 and combine them afterwards."
        )
    encoded = tf.convert_to_tensor(encoded)
    if encoded.shape.rank:
        raise ValueError(
            "`encoded` must be the bytes of one file. "
            f"Received: encoded.shape={tuple(encoded.shape)}. Use Dataset.map."
        )
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
    # Width and height in the header; where it is cut off, decoding says so.
    start = tf.strings.substr(encoded, 0, 24) + b"\0" * 24
    raw = tf.strings.substr(start, 16, 8)
    size = tf.io.decode_raw(raw, tf.int32, little_endian=False)
    with tf.control_dependencies([_check_claim("PNG", encoded, size[1], size[0])]):
        image = tf.io.decode_png(encoded, channels=channels)
    if channels < 4:
        return image
    # Where there is no alpha TensorFlow fills in the largest value of the stored bits:
    # 1, 3 or 15 for an image of 2, 4 or 16 colors, which is all but transparent.
    alpha = image[..., 3:]
    filler = 2 ** _read_integer(encoded, 24, tf.uint8) - 1
    is_filled = tf.reduce_all(tf.cast(alpha, tf.int32) == filler)
    alpha = tf.where(is_filled, tf.constant(255, tf.uint8), alpha)
    return tf.concat([image[..., :3], alpha], axis=-1)


def _decode_jpg(encoded, channels):
    shape = tf.io.extract_jpeg_shape(encoded)
    with tf.control_dependencies(
        [_check_claim("JPEG", encoded, *tf.unstack(shape[:2]))]
    ):
        if channels > 1:
            return _from_color(_decode_color(encoded), channels)
        return tf.cond(  # TensorFlow cannot turn the four inks of CMYK into grey
            shape[2] == 4,
            lambda: _from_color(_decode_color(encoded), channels),
            lambda: tf.io.decode_jpeg(encoded, channels=1),
        )


def _check_claim(kind, encoded, height, width):
    """Fail where a few bytes claim gigabytes of pixels: all would be allocated.

    So would those of a whole file that compresses nothing but white.
    """
    pixels = tf.cast(height, tf.int64) * tf.cast(width, tf.int64)
    num_bytes = tf.cast(tf.strings.length(encoded), tf.int64)
    return tf.debugging.assert_less_equal(
        pixels,
        tf.minimum(_MOST_PIXELS_PER_BYTE[kind] * num_bytes, _MOST_PIXELS),
        message=f"The {kind} claims more pixels than its bytes can hold, or more than "
        f"{_MOST_PIXELS:,}.",
    )


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
    # Zeros where the file is cut off: decoding says so, while `substr` would quote
    # the file in its message, which Python cannot read as text.
    end = offset + dtype.size
    start = tf.strings.substr(encoded, 0, end) + b"\0" * end
    raw = tf.strings.substr(start, offset, dtype.size)
    return tf.cast(tf.io.decode_raw(raw, dtype)[0], tf.int32)


def _read_palette(encoded):
    # BITMAPINFOHEADER: its size at byte 14, then the colors as blue, green, red, 0.
    start = 14 + _read_integer(encoded, 14, tf.int32)
    start = tf.clip_by_value(start, 0, tf.strings.length(encoded))
    pixels_start = _read_integer(encoded, 10, tf.int32)
    size = (pixels_start - start) // 4 * 4  # there may be a gap before the pixels
    raw = tf.strings.substr(encoded, start, size)
    return tf.reshape(tf.io.decode_raw(raw, tf.uint8), (-1, 4))[:, 2::-1]


def _from_color(color, channels):
    color = tf.ensure_shape(color, (None, None, 3))
    if channels == 1:
        return tf.image.rgb_to_grayscale(color)
    if channels == 4:
        opaque = tf.fill(tf.shape(color[..., :1]), tf.constant(255, tf.uint8))
        return tf.concat([color, opaque], axis=-1)
    return color
