"""What a person sees of the rows to be labeled: pictures, texts, or the calls."""

import itertools

import numpy as np


def pick_inputs(inputs, rows, num_rows):
    """Return what `write_labeling_files` shows of some target rows.

    Args:
        inputs: What the target rows are, in their order: array of images
            `(num_rows, height, width, channels)` or without channels, of any numbers;
            list of texts, of `pathlib.Path` of image files, of dictionaries, or of
            arrays; array of plain features; batched `tf.data.Dataset` of `x` or
            `(x, ...)`, or `UnlabeledDomain`.
        rows: Whole numbers, places in the target.
        num_rows: Number of target rows.

    Returns:
        List of uint8 images, `str`, `pathlib.Path`, dictionaries or arrays.

    Raises:
        ValueError: If `inputs` has another number of rows, or a dataset comes in
            another order each time.

    Example:

    >>> from tftransfer.adaptation.previews import pick_inputs
    >>> pick_inputs(["a", b"b", "c"], [1, 0], 3)
    ['b', 'a']
    """
    inputs = inputs.data if hasattr(inputs, "dropped_labels") else inputs
    if hasattr(inputs, "element_spec"):
        found = _pick_from_dataset(inputs, rows, num_rows)
    else:
        if hasattr(inputs, "tocsr"):
            inputs = inputs.tocsr()
        _check_count(
            inputs.shape[0] if hasattr(inputs, "shape") else len(inputs), num_rows
        )
        found = [inputs[int(row)] for row in rows]
    return _show_pixels([_to_plain(each) for each in found])


def describe_calls(calls, row, classes):
    """Return what each candidate calls a row, where nothing else can be shown.

    Args:
        calls: Dictionary from name to whole numbers `(m,)`.
        row: Place in the target.
        classes: Sequence of class names.

    Returns:
        Dictionary from `"row"` and each name to what the page shows.
    """
    said = {name: classes[labels[row]] for name, labels in calls.items()}
    return {"row": int(row), **said}


def _pick_from_dataset(dataset, rows, num_rows):
    # Not at the top: TensorFlow is loaded only where somebody gives a dataset.
    from tftransfer.features.datasets import inspect_dataset

    dataset = vars(dataset).get("unshuffled", dataset)
    if inspect_dataset(dataset).shuffles:
        raise ValueError(
            "`inputs` must come in the order of the target rows. Received: inputs that "
            "are shuffled at each reading. Leave shuffle() out, or pass an array."
        )
    wanted, found, count = {int(row) for row in rows}, {}, 0
    for batch in dataset:
        batch = batch[0] if isinstance(batch, tuple) else batch
        values = np.asarray(batch)
        places = [p for p in range(len(values)) if count + p in wanted]
        found.update({count + place: values[place] for place in places})
        count += len(values)
    _check_count(count, num_rows)
    return [found[int(row)] for row in rows]


def _check_count(count, num_rows):
    if count != num_rows:
        raise ValueError(
            f"`inputs` must hold the {num_rows} target rows in their order. Received: "
            f"inputs with {count} rows. Pass what the target's features were made of."
        )


def _to_plain(value):
    if hasattr(value, "toarray"):
        return value.toarray().ravel()
    if hasattr(value, "numpy"):
        value = value.numpy()
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(value) if isinstance(value, str) else value


def _show_pixels(found):
    """Turn images of other numbers than uint8 into uint8, all by the same rule."""
    is_image = [
        isinstance(each, np.ndarray) and each.ndim > 1 and each.dtype != np.uint8
        for each in found
    ]
    pixels = list(itertools.compress(found, is_image))
    if not pixels:
        return found
    least = min(float(each.min()) for each in pixels)
    most = max(float(each.max()) for each in pixels)
    low, high = 0.0, 1.0 if most <= 1 else 255.0
    if least < low or most > high:  # standardized, or of more bits
        low, high = least, most
    return [
        _to_bytes(each, low, high) if image else each
        for each, image in zip(found, is_image, strict=True)
    ]


def _to_bytes(pixels, low, high):
    scaled = (pixels.astype("float64") - low) * (255 / max(high - low, 1e-12))
    return scaled.round().clip(0, 255).astype("uint8")
