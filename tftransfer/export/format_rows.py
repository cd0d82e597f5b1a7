"""Rows and labels on which every format is proven, as arrays of one shape."""

import itertools

import numpy as np

from tftransfer.evaluation.arrays import read_labels
from tftransfer.export.inputs import IMAGES, TEXTS
from tftransfer.export.rows import check_row, make_rows, read_rows_and_labels, to_pixels
from tftransfer.resizing import resize_images

MOST_ROWS, MOST_REPRESENTATIVE = 1000, 300
MOST_BYTES = 2**29


def take_proof_rows(examples, model_input, task):
    """Take rows to prove formats on, and their labels where there are any.

    Args:
        examples: See `export_model`.
        model_input: The `ModelInput` of the model.
        task: Its `Task`.

    Returns:
        Tuple of an array with the rows on its first axis, and an array of labels or
        `None`. Images are resized as the model does, and rounded to uint8.

    Raises:
        TypeError: If `examples` is nothing to read rows from.
        ValueError: If there is no row, or rows or labels do not fit the model.
    """
    if examples is None:
        return _stack(make_rows(model_input), model_input), None
    most = min(MOST_ROWS, _affordable_rows(model_input))
    rows, labels = _take(examples, model_input, most, "examples")
    if any(label is None for label in labels):
        return rows, None
    return rows, read_labels(np.stack(labels), task)


def take_representative(data, model_input):
    """Take the images from which the ranges of activations are measured.

    Args:
        data: See `representative_data` of `export_model`.
        model_input: The `ModelInput` of the model.

    Returns:
        uint8 array `(n, height, width, channels)`.
    """
    most = min(MOST_REPRESENTATIVE, _affordable_rows(model_input))
    return _take(data, model_input, most, "representative_data")[0]


def _take(data, model_input, most, name):
    taken = list(itertools.islice(read_rows_and_labels(data, model_input, name), most))
    if not taken:
        raise ValueError(
            f"`{name}` must hold at least one row. Received: {name} with 0 rows. "
            "Pass some of the data that the model was made for."
        )
    rows, labels = zip(*taken, strict=True)
    for row in rows:
        check_row(row, model_input, name)
    return _stack(rows, model_input), labels


def _stack(rows, model_input):
    if model_input.kind == TEXTS:
        return np.array([np.asarray(row, object).tolist() for row in rows])
    if model_input.kind != IMAGES or model_input.resizing is None:
        return np.stack(rows)
    return np.stack([_resize(to_pixels(row), model_input.resizing) for row in rows])


def _resize(image, resizing):
    if image.shape[:2] == (resizing.height, resizing.width):
        return image
    return to_pixels(np.asarray(resize_images(image, resizing)))


def _affordable_rows(model_input):
    if model_input.image_size is None:
        return MOST_ROWS
    return max(
        2, MOST_BYTES // (np.prod(model_input.image_size) * model_input.channels)
    )
