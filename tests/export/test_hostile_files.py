"""Thousands of damaged files: a clear error or an answer, and no memory kept."""

import collections
import resource
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tftransfer.export.loading import load_exported

COUNT, BATCH = 5000, 50
MOST_GROWTH, MOST_TAKEN = 50 << 20, 250 << 20  # bytes
STATM = Path("/proc/self/statm")


def png(width, height, data=b""):
    """A PNG of any claimed size, whatever data is behind it."""

    def chunk(name, content):
        sealed = name + content
        return (
            struct.pack(">I", len(content))
            + sealed
            + struct.pack(">I", zlib.crc32(sealed))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", data), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def bmp(width, height):
    return b"BM" + struct.pack(
        "<IHHIIiiHHIIIIII", 54, 0, 0, 54, 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0
    )


def gif(width, height):
    return b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(6)


def jpeg_of_size(content, width, height):
    """The same JPEG, claiming another size in its frame header."""
    place = content.index(b"\xff\xc0") + 5
    return content[:place] + struct.pack(">HH", height, width) + content[place + 4 :]


def damage(rng, whole):
    """Return bytes that are damaged in one of the ways files are, and which way."""
    content = bytearray(whole[rng.integers(len(whole))])
    way = rng.choice(["truncated", "flipped", "noise", "header", "spliced", "sizes"])
    if way == "truncated":
        return bytes(content[: rng.integers(len(content))])
    if way == "flipped":
        for place in rng.integers(len(content), size=rng.integers(1, 9)):
            content[place] ^= 1 << rng.integers(8)
        return bytes(content)
    if way == "noise":
        return rng.bytes(rng.integers(200))
    if way == "header":
        return bytes(content[: rng.integers(2, 12)]) + rng.bytes(rng.integers(100))
    if way == "spliced":
        other = whole[rng.integers(len(whole))]
        return bytes(content[: len(content) // 2]) + other[len(other) // 2 :]
    width, height = (int(2 ** rng.uniform(0, 31)) for _ in range(2))
    made = [png(width, height, rng.bytes(20)), bmp(width, height)]
    made += [bmp(-width, -height), gif(width % 65536, height % 65536)]
    made += [jpeg_of_size(whole[0], width % 65536, height % 65536)]
    return made[rng.integers(len(made))]


@pytest.fixture(scope="module")
def whole(photo):
    pixels = photo(30, 40)
    return [
        tf.io.encode_jpeg(pixels).numpy(),
        tf.io.encode_png(pixels).numpy(),
        tf.io.encode_png(pixels[..., :1]).numpy(),
        bmp(4, 4) + bytes(48),
    ]


@pytest.fixture(scope="module")
def loaded(exports, whole):
    """An export that has answered before: the first answer takes memory for good."""
    loaded = load_exported(exports["classes"].path)
    loaded.signatures["serving_default"](image_bytes=tf.constant(whole * 20))
    return loaded


@pytest.fixture
def memory():
    """Fail where the test leaves more than it found, or took far more on the way."""

    def resident():
        return int(STATM.read_text().split()[1]) * resource.getpagesize()

    def most():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    if not STATM.exists():
        pytest.skip("this system does not tell the memory of a process")
    before, peak = resident(), most()
    yield
    assert resident() - before < MOST_GROWTH
    assert most() - max(peak, before) < MOST_TAKEN


@pytest.mark.slow
def test_damaged_bytes_fail_clearly_or_are_answered(loaded, whole, memory):
    serve = loaded.signatures["serving_default"]
    rng, outcomes = np.random.default_rng(0), collections.Counter()
    for _ in range(COUNT):
        try:
            outputs = serve(image_bytes=tf.constant([damage(rng, whole)]))
        except tf.errors.InvalidArgumentError:
            outcomes["refused"] += 1
            continue
        outcomes["answered"] += 1
        assert outputs["probabilities"].shape == (1, 3)
        assert np.isfinite(outputs["probabilities"]).all()
    assert outcomes["refused"] > COUNT / 2 and outcomes["answered"] > COUNT / 50


@pytest.mark.slow
def test_good_files_are_answered_among_thousands_of_damaged_ones(
    loaded, whole, memory, tmp_path
):
    rng = np.random.default_rng(1)
    good, files = tmp_path / "good.jpg", []
    good.write_bytes(whole[0])
    (wanted,) = loaded.predict(good)
    for number in range(COUNT):
        file = tmp_path / f"{number}.jpg"
        file.write_bytes(damage(rng, whole))
        files.append(file)
    for start in range(0, COUNT, BATCH):
        *found, last = loaded.predict(
            [*files[start : start + BATCH], good], on_error="keep"
        )
        assert last.probabilities == pytest.approx(wanted.probabilities, rel=1e-5)
        for row in found:
            assert (row.error is None) == (row.label is not None)


@pytest.mark.parametrize("rows", [[1, 2], [[b"a"]], 3.5, None, [None]])
def test_what_is_no_string_is_refused_by_the_signature(loaded, rows):
    serve = loaded.signatures["serving_default"]
    with pytest.raises((TypeError, ValueError, tf.errors.InvalidArgumentError)):
        serve(image_bytes=tf.constant(rows))
