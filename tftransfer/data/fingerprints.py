"""Fingerprints: one name for the same rows, prepared alike, in every process.

A fingerprint is what stored features are found by, so it must change with anything
that changes a pixel, a label or their order, and be None where that cannot be told.
Batch size, shuffling and `cache` change none of these and stay out of it.
"""

import hashlib
import json
import os

import keras
import numpy as np
import tensorflow as tf

VERSION = 1  # raise it when the pipeline itself comes to give other pixels


def make_fingerprint(identity, preparation, augment=()):
    """Return the fingerprint of rows prepared in one way.

    Args:
        identity: What tells the decoded rows, their labels and their order from all
            others, as plain JSON values (lists, dictionaries, `str`, numbers), or
            None where nothing can.
        preparation: A `Preparation`.
        augment: Names out of `AUGMENTATIONS`, or functions, as applied to these rows.

    Returns:
        `str` of 64 hexadecimal digits; None without identity, with an augmentation
        that is a function, or with a resizing layer of the user's own making.

    Example:

    >>> from tftransfer.data.pipelines import Preparation
    >>> small, large = Preparation(image_size=8), Preparation(image_size=9)
    >>> name = make_fingerprint(["rows", 3], small)
    >>> len(name), name == make_fingerprint(["rows", 3], large)
    (64, False)
    >>> name == make_fingerprint(["rows", 3], Preparation(image_size=8, batch_size=1))
    True
    """
    resizing = preparation.resizing
    if identity is None or any(callable(step) for step in augment):
        return None
    if resizing is not None and type(resizing) is not keras.layers.Resizing:
        return None  # what a subclass does is not in its configuration
    return digest(
        {
            "version": VERSION,
            # Their decoders and kernels make the pixels.
            "libraries": [tf.__version__, keras.__version__],
            "rows": identity,
            "resizing": None if resizing is None else _describe_resizing(resizing),
            "augment": [*augment, preparation.seed] if augment else None,
        }
    )


def digest(value):
    """Return the SHA-256 of plain JSON values, or of an array of numbers.

    Args:
        value: NumPy array of any numeric dtype, or nested lists, dictionaries, `str`
            and finite numbers.

    Returns:
        `str` of 64 hexadecimal digits.

    Raises:
        TypeError: If a part of `value` is something else.

    Example:

    >>> digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    True
    >>> digest(np.zeros(2)) == digest(np.zeros((2, 1)))
    False
    """
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        name = json.dumps([value.dtype.str, value.shape]).encode()
        return hashlib.sha256(name + np.ascontiguousarray(value).tobytes()).hexdigest()
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def describe_files(paths):
    """Return `[name, size, modification time]` per file, or None if one cannot tell.

    Cheap: 2,600 files take some 10 ms. Where files are read anyway, their content
    says more.

    Args:
        paths: List of `str`.

    Returns:
        List of lists, with the time in nanoseconds; None if a file is not to be
        found, or is kept by something that knows no such times.
    """
    try:
        found = [(path, os.stat(path)) for path in paths]
    except OSError:
        return None
    return [
        [os.path.basename(path), status.st_size, status.st_mtime_ns]
        for path, status in found
    ]


def _describe_resizing(layer):
    config = layer.get_config()
    for part in ("name", "trainable", "dtype"):
        config.pop(part, None)
    return {**config, "dtype": layer.compute_dtype}
