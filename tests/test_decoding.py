"""Decoding against Pillow: every format, kind of image and number of channels."""

import io

import numpy as np
import pytest
import sklearn.datasets
import tensorflow as tf
from PIL import Image

from tftransfer.decoding import decode_image

MODES = {1: "L", 3: "RGB", 4: "RGBA"}
FORMATS = ("PNG", "JPEG", "BMP", "GIF")
KINDS = ("L", "RGB", "RGBA", "P", "LA")
# What the formats cannot hold, or not without changing it first.
ABSENT = {("JPEG", "RGBA"), ("JPEG", "LA"), ("JPEG", "P"), ("BMP", "LA"), ("GIF", "LA")}


def draw(kind):
    """A smooth image with edges, 23 by 31 pixels, in one of Pillow's modes."""
    y, x = np.mgrid[:23, :31]
    red, green, blue = 8 * x, 11 * y, 255 - 4 * (x + y)
    color = np.stack([red, green, blue], axis=-1).astype("uint8")
    color[5:12, 8:20] = 40
    image = Image.fromarray(color)
    if kind in ("RGBA", "LA"):
        image.putalpha(Image.fromarray((255 - 7 * x).astype("uint8")))
    return image.quantize(50) if kind == "P" else image.convert(kind)


def encode(image, image_format, **options):
    file = io.BytesIO()
    image.save(file, image_format, **options)
    return file.getvalue()


def pillow(encoded, channels):
    """What Pillow reads from the file, transparency dropped or kept."""
    with Image.open(io.BytesIO(encoded)) as image:
        pixels = np.asarray(image.convert(MODES[channels]))
    return pixels.reshape(*pixels.shape[:2], channels)


def difference(encoded, channels):
    decoded = decode_image(encoded, channels)
    assert decoded.dtype == tf.uint8
    expected = pillow(encoded, channels).astype(int)
    assert tuple(decoded.shape) == expected.shape
    return np.abs(decoded.numpy() - expected).max()


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("image_format", FORMATS)
def test_pixels_equal_pillow(image_format, kind, channels):
    if (image_format, kind) in ABSENT:
        return
    encoded = encode(draw(kind), image_format)
    if (image_format, kind, channels) == ("BMP", "RGBA", 4):
        # Pillow ignores the fourth byte when it reads; it wrote our alpha there.
        decoded = decode_image(encoded, 4).numpy()
        np.testing.assert_array_equal(decoded, np.asarray(draw("RGBA")))
        return
    # TensorFlow decodes JPEG with the fast integer transform, Pillow with the exact
    # one; color turned grey is cut off in one and rounded in the other.
    turned_grey = channels == 1 and kind in ("RGB", "RGBA", "P")
    allowed = 4 if image_format == "JPEG" else int(turned_grey)
    if (image_format, kind) == ("GIF", "RGBA"):
        opaque = np.asarray(Image.open(io.BytesIO(encoded)).convert("RGBA"))[..., 3] > 0
        decoded = decode_image(encoded, channels).numpy()
        gap = np.abs(decoded.astype(int) - pillow(encoded, channels))
        assert gap[opaque].max() <= allowed
        return
    assert difference(encoded, channels) <= allowed


@pytest.mark.parametrize("image_format", FORMATS)
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_graph_and_eager_agree_to_the_last_bit(image_format, channels):
    encoded = encode(draw("P" if image_format == "BMP" else "RGB"), image_format)
    data = tf.data.Dataset.from_tensors(encoded)
    data = data.map(lambda file: decode_image(file, channels))
    assert data.element_spec.shape.as_list() == [None, None, channels]
    (decoded,) = data
    np.testing.assert_array_equal(decoded, decode_image(encoded, channels))


def test_one_graph_takes_every_format():
    decode = tf.function(
        decode_image, input_signature=[tf.TensorSpec((), tf.string)], autograph=False
    )
    for image_format in FORMATS:
        encoded = encode(draw("RGB"), image_format)
        np.testing.assert_array_equal(decode(encoded), decode_image(encoded))


@pytest.mark.parametrize("colors", [2, 4, 16, 200])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_png_of_few_colors(colors, channels):
    encoded = encode(draw("RGB").quantize(colors), "PNG")
    assert difference(encoded, channels) <= (channels == 1)


@pytest.mark.parametrize("colors", [2, 16, 200])
def test_png_palettes_keep_their_transparency(colors):
    encoded = encode(draw("RGB").quantize(colors), "PNG", transparency=1)
    assert 0 in pillow(encoded, 4)[..., 3]
    assert difference(encoded, 4) == 0


def test_black_and_white_png():
    for channels in (1, 3, 4):
        assert difference(encode(draw("L").convert("1"), "PNG"), channels) == 0


def test_png_of_16_bits_keeps_the_upper_eight():
    deep = np.arange(0, 65536, 97, dtype="uint16")[:650].reshape(25, 26)
    encoded = encode(Image.fromarray(deep), "PNG")
    for channels in (1, 3):
        decoded = decode_image(encoded, channels).numpy()
        np.testing.assert_array_equal(decoded[..., 0], deep >> 8)


def test_cmyk_jpeg():
    encoded = encode(draw("RGB").convert("CMYK"), "JPEG", quality=95)
    gap = np.abs(decode_image(encoded, 3).numpy().astype(int) - pillow(encoded, 3))
    assert gap.mean() < 2  # measured 1.8: the errors of two inks multiply
    assert gap.max() <= 10  # measured 10
    assert difference(encoded, 4) <= 10
    grey = tf.image.rgb_to_grayscale(decode_image(encoded, 3))
    np.testing.assert_array_equal(decode_image(encoded, 1), grey)


def test_progressive_jpeg_equals_baseline_within_its_rounding():
    assert difference(encode(draw("RGB"), "JPEG", progressive=True), 3) <= 4


def test_bmp_rows_from_top_to_bottom():
    encoded = bytearray(encode(draw("RGB"), "BMP"))
    height = -int.from_bytes(encoded[22:26], "little")
    encoded[22:26] = height.to_bytes(4, "little", signed=True)
    np.testing.assert_array_equal(
        decode_image(bytes(encoded)), np.asarray(draw("RGB"))[::-1]
    )


def test_bmp_with_a_gap_between_palette_and_pixels():
    encoded = bytearray(encode(draw("L"), "BMP"))
    start = int.from_bytes(encoded[10:14], "little")
    encoded[start:start] = b"xy"
    encoded[10:14] = (start + 2).to_bytes(4, "little")
    encoded[2:6] = len(encoded).to_bytes(4, "little")
    np.testing.assert_array_equal(
        decode_image(bytes(encoded), 1)[..., 0], np.asarray(draw("L"))
    )


def test_bmp_with_a_short_palette():
    image = draw("RGB").quantize(7)
    np.testing.assert_array_equal(
        decode_image(encode(image, "BMP")), np.asarray(image.convert("RGB"))
    )


def test_the_first_frame_of_a_moving_gif_is_taken():
    frames = [draw("P"), draw("P").rotate(180)]
    encoded = encode(frames[0], "GIF", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(
        decode_image(encoded), np.asarray(frames[0].convert("RGB"))
    )


def test_an_orientation_tag_is_not_applied():
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees
    encoded = encode(draw("RGB"), "JPEG", exif=exif)
    assert tuple(decode_image(encoded).shape) == (23, 31, 3)


@pytest.mark.parametrize("quality", [75, 90])
def test_a_photograph_is_about_one_level_from_pillow(quality):
    photograph = Image.fromarray(sklearn.datasets.load_sample_image("china.jpg"))
    encoded = encode(photograph, "JPEG", quality=quality)
    gap = np.abs(decode_image(encoded).numpy().astype(int) - pillow(encoded, 3))
    assert gap.max() <= 6  # measured 4 and 6
    assert gap.mean() < 1.1  # measured 0.94 and 1.00


@pytest.mark.parametrize(
    "encoded",
    [
        b"",
        b"hello, I am a text file",
        b"BM",
        b"BM" + bytes(60),
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff",
        b"GIF89a",
        encode(draw("RGB"), "TIFF"),
    ],
    ids=lambda encoded: repr(encoded[:8]),
)
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_what_is_no_image_raises(encoded, channels):
    with pytest.raises(tf.errors.InvalidArgumentError):
        decode_image(encoded, channels)


@pytest.mark.parametrize("image_format", FORMATS)
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_half_a_file_raises(image_format, channels):
    encoded = encode(draw("RGB"), image_format)
    with pytest.raises(tf.errors.InvalidArgumentError):
        decode_image(encoded[: len(encoded) // 2], channels)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_palette_outside_the_file_raises_without_quoting_the_file(channels):
    # Raw bytes in TensorFlow's message would end as a UnicodeDecodeError.
    encoded = bytearray(encode(draw("L"), "BMP"))
    encoded[2:10] = b"\xaa" * 8  # what no decoder looks at
    encoded[14:18] = (1 << 20).to_bytes(4, "little")
    with pytest.raises(tf.errors.InvalidArgumentError):
        decode_image(bytes(encoded), channels)


@pytest.mark.parametrize("start", [b"BM", b"\x89PNG"])
def test_short_files_raise_in_a_graph_without_quoting_the_file(start):
    decode = tf.function(decode_image, input_signature=[tf.TensorSpec((), tf.string)])
    for length in range(60):
        with pytest.raises(tf.errors.InvalidArgumentError):
            decode(start + b"\xaa" * length)


@pytest.mark.parametrize("channels", [0, 2, None, "3"])
def test_other_channels_are_refused(channels):
    with pytest.raises(ValueError, match=f"Received: channels={channels!r}. Decode 3"):
        decode_image(encode(draw("RGB"), "PNG"), channels)


def test_a_batch_of_files_is_refused():
    encoded = encode(draw("RGB"), "PNG")
    with pytest.raises(ValueError, match=r"Received: encoded.shape=\(2,\)"):
        decode_image([encoded, encoded])


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("image_format", "place"),
    [("JPEG", lambda x: x.index(b"\xff\xc0") + 5), ("PNG", lambda x: 16)],
)
def test_a_few_bytes_that_claim_gigabytes_are_refused(image_format, place, channels):
    whole = encode(draw("RGB"), image_format)
    sides = np.array([20_000, 20_000], ">u2" if image_format == "JPEG" else ">u4")
    start = place(whole)
    claimed = whole[:start] + sides.tobytes() + whole[start + sides.nbytes :]
    match = f"The {image_format} claims more pixels than its bytes can hold"
    with pytest.raises(tf.errors.InvalidArgumentError, match=match):
        decode_image(claimed, channels)


def test_a_whole_file_of_gigabytes_is_refused():
    # One bit each, all white: some 76 KB that are a picture of 20,000 by 20,000.
    encoded = encode(Image.new("1", (20_000, 20_000), "white"), "PNG", optimize=True)
    assert len(encoded) < 100_000
    with pytest.raises(tf.errors.InvalidArgumentError, match="more than 178,956,970"):
        decode_image(encoded)


@pytest.mark.parametrize("image_format", ["JPEG", "PNG"])
@pytest.mark.parametrize("kind", ["1", "L", "RGB"])
def test_the_most_compressed_images_are_no_claims(image_format, kind):
    # Nothing but white, in the smallest files that the formats allow.
    options = {"optimize": True}
    if image_format == "JPEG":
        options |= {"quality": 1, "progressive": True, "subsampling": 2}
    encoded = encode(Image.new(kind, (4000, 3000), "white"), image_format, **options)
    pixels = decode_image(encoded, 1).numpy()
    assert pixels.shape == (3000, 4000, 1)
    assert pixels.min() > 250
