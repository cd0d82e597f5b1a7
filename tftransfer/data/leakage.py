"""Exact and near duplicates between training and test data."""

import dataclasses
import hashlib

import numpy as np
import tensorflow as tf

from tftransfer.checks import check_number

MAX_HAMMING = 12  # of 128 bits
NOISE = 2.0  # gray levels; smaller steps between neighbors set no bit
SIDE = 32  # of the thumbnail that confirms a match, in pixels
CHUNK = 256  # test images compared at a time
LISTED = 10  # pairs that the printed report names


@dataclasses.dataclass(frozen=True)
class LeakagePair:
    """A test image that is also, or nearly, in the training data.

    Attributes:
        train_index: Position in the training data, in iteration order.
        test_index: Position in the test data, in iteration order.
        kind: `"exact"` (equal in every pixel) or `"near"`.
        correlation: Of the two gray thumbnails, in -1..1.
    """

    train_index: int
    test_index: int
    kind: str
    correlation: float


@dataclasses.dataclass(frozen=True)
class LeakageReport:
    """What `check_leakage` found; true where there is leakage.

    Attributes:
        pairs: List of `LeakagePair`, one for each test image concerned, with its
            closest training image.
        num_train: Number of training images compared.
        num_test: Number of test images compared.
    """

    pairs: list
    num_train: int
    num_test: int

    def __bool__(self):
        return bool(self.pairs)

    def count(self, kind):
        """Return the number of pairs of one kind, `"exact"` or `"near"`."""
        return sum(pair.kind == kind for pair in self.pairs)

    def __str__(self):
        compared = f"{self.num_test} test examples against {self.num_train} to train on"
        if not self.pairs:
            return f"No leakage found: compared {compared}."
        lines = [
            f"Leakage: {self.count('exact')} exact and {self.count('near')} near "
            f"duplicates (compared {compared})."
        ]
        lines += [
            f"  {pair.kind:5}  train {pair.train_index:6}  test {pair.test_index:6}"
            f"  correlation {pair.correlation:.4f}"
            for pair in self.pairs[:LISTED]
        ]
        more = len(self.pairs) - LISTED
        return "\n".join(lines + ([f"  and {more} more"] if more > 0 else []))


def check_leakage(train, test, *, min_correlation=0.998):
    """Find test images that are also, or nearly, in the training data.

    Exact duplicates are equal in every pixel. Near duplicates survive compression,
    scaling and changes of brightness: the two difference hashes of 8 by 8 bits (gray
    steps to the right and downward) differ in at most 12 of 128 bits, and the gray
    thumbnails of 32 by 32 pixels correlate by `min_correlation` or more, which rules
    out images that only share their layout. Both datasets are read once; of each
    image 1.1 kB stay in memory.

    Positions are those of one pass. The training sets of our loaders are read in
    their fixed order and without augmentation (their `unshuffled`); another dataset
    that shuffles gives positions that the next pass will not repeat.

    Args:
        train: Batched dataset of `(image, label)` or `image`; images
            `(batch, height, width, channels)`, uint8 or float, 0..255. Strings are
            compared for equality only.
        test: The same for the test data; the image size may differ.
        min_correlation: Number in 0..1; lower finds cropped or edited copies too,
            with false alarms among images of one layout.

    Returns:
        A `LeakageReport`.

    Raises:
        TypeError: If `min_correlation` is no number.
        ValueError: If it is out of range, or a dataset is unbatched or empty.

    Example:

    >>> images = np.random.default_rng(0).integers(0, 256, (6, 16, 16, 3), "uint8")
    >>> data = tf.data.Dataset.from_tensor_slices(images)
    >>> report = check_leakage(data.take(4).batch(2), data.skip(3).batch(2))
    >>> bool(report), report.count("exact"), report.pairs[0].train_index
    (True, 1, 3)
    """
    check_number("min_correlation", min_correlation, 0, 1)
    train_prints = _read_prints("train", train)
    test_prints = _read_prints("test", test)
    pairs = _find_near(train_prints, test_prints, min_correlation)
    pairs |= _find_exact(train_prints, test_prints)
    return LeakageReport(
        [pairs[test_index] for test_index in sorted(pairs)],
        len(train_prints.digests),
        len(test_prints.digests),
    )


@dataclasses.dataclass(frozen=True)
class _Prints:
    """What is kept of each image.

    Attributes:
        digests: List of `bytes`, hashes of the pixels.
        hashes: uint64 array `(n, 2)`, difference hashes; no rows for strings.
        thumbnails: uint8 array `(n, SIDE * SIDE)`; no rows for strings.
    """

    digests: list
    hashes: np.ndarray
    thumbnails: np.ndarray


def _read_prints(name, dataset):
    digests = []
    hashes = [np.empty((0, 2), "uint64")]
    thumbnails = [np.empty((0, SIDE * SIDE), "uint8")]
    for batch in getattr(dataset, "unshuffled", dataset):
        images = batch[0] if isinstance(batch, tuple) else batch
        _check_batch(name, images)
        digests += [_digest(image) for image in images.numpy()]
        if images.dtype != tf.string:
            gray = _to_gray(images)
            hashes.append(_difference_hashes(gray))
            small = tf.image.resize(gray, (SIDE, SIDE), method="area").numpy()
            thumbnails.append(np.rint(small).astype("uint8").reshape(len(small), -1))
    if not digests:
        raise ValueError(
            f"`{name}` must hold at least one batch. Received: {name} with none."
        )
    return _Prints(digests, np.concatenate(hashes), np.concatenate(thumbnails))


def _check_batch(name, images):
    rank = 1 if images.dtype == tf.string else 4
    if len(images.shape) != rank:
        raise ValueError(
            f"`{name}` must hold batches of images (batch, height, width, channels) "
            f"or of strings (batch,). Received: a tensor of shape "
            f"{tuple(images.shape)}. Call {name}.batch(batch_size) first."
        )


def _digest(image):
    if isinstance(image, bytes):
        return hashlib.blake2b(image, digest_size=16).digest()
    pixels = np.ascontiguousarray(image, "float32")
    return hashlib.blake2b(
        repr(pixels.shape).encode() + pixels.tobytes(), digest_size=16
    ).digest()


def _to_gray(images):
    pixels = tf.cast(images, tf.float32)
    if pixels.shape[-1] in (3, 4):  # luma, which JPEG keeps better than color
        return tf.image.rgb_to_grayscale(pixels[..., :3])
    return tf.reduce_mean(pixels, axis=-1, keepdims=True)


def _difference_hashes(gray):
    rows = tf.image.resize(gray, (8, 9), method="area").numpy()[..., 0]
    columns = tf.image.resize(gray, (9, 8), method="area").numpy()[..., 0]
    rising = [np.diff(rows, axis=2) > NOISE, np.diff(columns, axis=1) > NOISE]
    bits = np.stack([steps.reshape(len(steps), 64) for steps in rising], axis=1)
    return np.packbits(bits, axis=2).view("uint64")[..., 0]


def _find_exact(train, test):
    first_seen: dict[bytes, int] = {}
    for index, digest in enumerate(train.digests):
        first_seen.setdefault(digest, index)
    return {
        index: LeakagePair(first_seen[digest], index, "exact", 1.0)
        for index, digest in enumerate(test.digests)
        if digest in first_seen
    }


def _find_near(train, test, min_correlation):
    pairs: dict[int, LeakagePair] = {}
    for start in range(0, len(test.hashes), CHUNK):
        hashes = test.hashes[None, start : start + CHUNK]
        distance = sum(
            np.bitwise_count(train.hashes[:, None, word] ^ hashes[..., word])
            for word in range(2)
        )
        found, chunk = np.nonzero(distance <= MAX_HAMMING)
        similar = _correlate(train.thumbnails, found, test.thumbnails, chunk + start)
        for i in np.flatnonzero(similar >= min_correlation):
            index = int(chunk[i]) + start
            if index not in pairs or pairs[index].correlation < similar[i]:
                pair = LeakagePair(int(found[i]), index, "near", float(similar[i]))
                pairs[index] = pair
    return pairs


def _correlate(train, train_rows, test, test_rows, step=10_000):
    """Correlate row pairs; two rows without contrast agree if their grays do."""
    similar = np.empty(len(train_rows), "float32")
    for start in range(0, len(train_rows), step):
        rows = slice(start, start + step)
        first = train[train_rows[rows]].astype("float32")
        second = test[test_rows[rows]].astype("float32")
        same_gray = abs(first.mean(axis=1) - second.mean(axis=1)) <= NOISE
        first -= first.mean(axis=1, keepdims=True)
        second -= second.mean(axis=1, keepdims=True)
        norms = np.linalg.norm(first, axis=1), np.linalg.norm(second, axis=1)
        is_flat = np.maximum(*norms) < SIDE  # standard deviation below one gray level
        product = np.maximum(norms[0] * norms[1], 1e-6)
        correlation = np.einsum("ij,ij->i", first, second) / product
        similar[rows] = np.where(is_flat, same_gray, correlation)
    return similar
