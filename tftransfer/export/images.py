"""Image files and arrays that are to be predicted, checked before the work."""

import os
import re
from pathlib import Path

import numpy as np
import tensorflow as tf

from tftransfer.decoding import IMAGE_SUFFIXES, decode_image

MAGIC = (b"\xff\xd8", b"\x89PNG", b"BM", b"GIF8")


def find_files(rows):
    """List image files, after checking that each is there and begins like an image.

    Args:
        rows: A file, a folder, or a list of files.

    Returns:
        List of `str`.

    Raises:
        ValueError: If a file is missing or no JPEG, PNG, BMP or GIF; it is named.
    """
    single = isinstance(rows, (str, os.PathLike))
    if single and Path(rows).is_dir():
        inside = sorted(Path(rows).iterdir())
        files = [file for file in inside if file.suffix.lower() in IMAGE_SUFFIXES]
        if not files:
            raise ValueError(
                f"`rows` must be a folder with images {IMAGE_SUFFIXES} directly in it. "
                f"Received: rows={str(rows)!r}, where there is none. "
                "Pass the folder that holds the files."
            )
    else:
        files = [rows] if single else list(rows)
    for file in files:
        _check_begins_like_an_image(Path(file))
    return [str(file) for file in files]


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


def check_decodes(files, encoded, channels):
    """Raise `ValueError` naming the first file whose bytes are no whole image."""
    for file, content in zip(files, encoded, strict=True):
        try:
            decode_image(content, channels)
        except tf.errors.InvalidArgumentError as error:
            raise ValueError(
                "`rows` must be whole JPEG, PNG, BMP or GIF files. "
                f"Received: {file!r}, which cannot be decoded "
                f"({_reason(error)}). Replace it, or leave it out."
            ) from None


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


def _check_begins_like_an_image(file):
    if not file.is_file():
        raise ValueError(
            "`rows` must name image files that exist. "
            f"Received: {str(file)!r}, which is "
            f"{'a folder' if file.is_dir() else 'not there'}. "
            "Check the spelling; relative paths start at the current folder."
        )
    with file.open("rb") as opened:
        start = opened.read(8)
    if not start.startswith(MAGIC):
        raise ValueError(
            "`rows` must be JPEG, PNG, BMP or GIF files. "
            f"Received: {str(file)!r}, which begins with {start!r}. "
            "Convert it, or leave it out."
        )
