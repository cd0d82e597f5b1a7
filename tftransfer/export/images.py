"""Image files and arrays that are to be predicted, checked before the work."""

import os
import re
from pathlib import Path

import numpy as np
import tensorflow as tf

from tftransfer.decoding import IMAGE_SUFFIXES, decode_image

MAGIC = (b"\xff\xd8", b"\x89PNG", b"BM", b"GIF8")


def check_rows(rows):
    """Raise `TypeError` unless `rows` are a file, a text, or something with rows."""
    if not isinstance(rows, os.PathLike) and not np.iterable(rows):
        raise TypeError(
            "`rows` must be files, images, texts or numbers, in a list or an array. "
            f"Received: rows={rows!r:.99}. Pass a list, also of one."
        )


def are_files(rows):
    """Whether `rows` are a list of paths."""
    is_list = isinstance(rows, (list, tuple)) and len(rows) > 0
    return is_list and all(isinstance(row, (str, os.PathLike)) for row in rows)


def list_files(rows):
    """List image files as they are given; none is opened.

    Args:
        rows: A file, a folder, or a list of files.

    Returns:
        List of `str`.

    Raises:
        ValueError: If a folder holds no image.
    """
    single = isinstance(rows, (str, os.PathLike))
    if not single or not Path(rows).is_dir():
        return [str(file) for file in ([rows] if single else rows)]
    inside = sorted(Path(rows).iterdir())
    files = [str(file) for file in inside if file.suffix.lower() in IMAGE_SUFFIXES]
    if not files:
        raise ValueError(
            f"`rows` must be a folder with images {IMAGE_SUFFIXES} directly in it. "
            f"Received: rows={str(rows)!r}, where there is none. "
            "Pass the folder that holds the files."
        )
    return files


def why_unreadable(file):
    """Return why a file cannot be an image, `None` where it begins like one."""
    if os.path.isdir(file):
        return "is a folder"
    try:
        with open(file, "rb") as opened:
            start = opened.read(8)
    except FileNotFoundError:
        return "is not there"
    except (OSError, ValueError) as error:  # a name with a null byte
        return f"cannot be read ({getattr(error, 'strerror', None) or error})"
    if not start.startswith(MAGIC):
        return f"begins with {start!r}, so is no JPEG, PNG, BMP or GIF"
    return None


def why_undecodable(encoded, channels):
    """Return why the bytes of a file are no whole image, `None` where they are."""
    try:
        decode_image(encoded, channels)
    except tf.errors.InvalidArgumentError as error:
        return f"cannot be decoded ({_reason(error)})"
    return None


def check_readable(files):
    """Raise `ValueError` unless all files are there and begin like images."""
    for file in files:
        reason = why_unreadable(file)
        if reason is not None:
            refuse_file(file, reason)


def check_decodable(files, encoded, channels):
    """Raise `ValueError` if the bytes of a file are no whole image."""
    for file, content in zip(files, encoded, strict=True):
        reason = why_undecodable(content, channels)
        if reason is not None:
            refuse_file(file, reason)


def refuse_file(file, reason, advice=""):
    """Raise `ValueError` that names a file and what is wrong with it."""
    raise ValueError(
        "`rows` must be whole JPEG, PNG, BMP or GIF files. "
        f"Received: {str(file)!r}, which {reason}. Replace it or leave it out{advice}."
    )


def check_images(images, channels):
    """Return `images` as a list of uint8 arrays `(height, width, channels)`.

    Raises:
        TypeError: If the pixels are not whole numbers 0..255.
        ValueError: If a shape does not fit.
    """
    return [
        _check_image(row, np.asarray(image), channels)
        for row, image in enumerate(images)
    ]


def _reason(error):
    # "{{node …}} What is wrong. [Op:DecodePng] name: " -> "What is wrong."
    return re.sub(r"^{{.*?}} | \[Op:.*", "", error.message.splitlines()[0])


def _check_image(row, image, channels):
    if image.ndim == 2 and channels == 1:
        image = image[..., np.newaxis]
    if image.ndim != 3 or image.shape[-1] != channels or 0 in image.shape:
        raise ValueError(
            f"`rows` must hold images of shape (height, width, {channels}). "
            f"Received: row {row} of shape {image.shape}. "
            "Pass (n, height, width, channels) or a list of images, or pass files."
        )
    is_number = image.dtype.kind in "uif"
    if not is_number or not _is_whole(image):
        raise TypeError(
            "`rows` must hold pixels that are whole numbers 0..255. "
            f"Received: row {row} of dtype {image.dtype}"
            f"{f', {image.min()} to {image.max()}' if is_number else ''}. "
            "Undo any scaling and round: the model scales pixels itself."
        )
    return image.astype("uint8")


def _is_whole(image):
    in_range = image.min() >= 0 and image.max() <= 255
    return in_range and np.array_equal(np.rint(image), image)
