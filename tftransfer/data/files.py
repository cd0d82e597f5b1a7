"""Datasets of image files: read, verified once, split and labeled."""

import warnings

import numpy as np
import tensorflow as tf

from tftransfer.checks import check_choice, check_number
from tftransfer.data.fingerprints import digest
from tftransfer.data.pipelines import AUTOTUNE, make_dataset
from tftransfer.data.splits import split_indices
from tftransfer.decoding import decode_image

SHOWN = 10  # names in an error message or warning
HASH_KEY = (7477, 2026)  # any two numbers, for good


def read_image(path):
    """Decode one image file to uint8 pixels `(height, width, 3)`."""
    return decode_image(tf.io.read_file(path))


def read_gray_image(path):
    """Decode one image file to uint8 pixels `(height, width, 1)`."""
    return decode_image(tf.io.read_file(path), channels=1)


def check_file_options(validation_fraction, on_corrupt):
    """Raise unless the options that folders and tables share are acceptable."""
    check_number("validation_fraction", validation_fraction, 0, 1)
    check_choice("on_corrupt", on_corrupt, ("error", "skip"))


def find_readable(paths, names, *, on_corrupt):
    """Decode every file once, in parallel; name those that are no whole image.

    A look at the header is not enough: a truncated file has a good one.

    Args:
        paths: List of `str`, the files.
        names: List of `str`, what to call each file in a message.
        on_corrupt: `"error"` to refuse such files, `"skip"` to warn and go on.

    Returns:
        Arrays over the readable files: their indices `(m,)`, their `(height, width)`
        `(m, 2)`, and over all files a hash of their content `(n,)`, 0 where it could
        not be read.

    Raises:
        ValueError: If a file cannot be decoded and `on_corrupt` is `"error"`, or none
            can.
    """
    rows = _decode_sizes(paths)
    corrupt = sorted(set(range(len(paths))) - set(rows[:, 0].tolist()))
    if corrupt:
        reasons = [f"{names[i]} ({_reason(paths[i])})" for i in corrupt[:SHOWN]]
        is_skipped = on_corrupt == "skip" and len(corrupt) < len(paths)
        _report_corrupt(len(corrupt), reasons, is_skipped)
    hashes = np.zeros(len(paths), "int64")
    hashes[rows[:, 0]] = rows[:, 3]
    return rows[:, 0], rows[:, 1:3], hashes


def _decode_sizes(paths):
    def describe(index, path):
        content = tf.io.read_file(path)
        height, width = tf.unstack(tf.shape(decode_image(content), tf.int64)[:2])
        # SipHash: equal in every process, and far faster than decoding.
        code = tf.strings.to_hash_bucket_strong(content, 2**63 - 1, HASH_KEY)
        return tf.stack([index, height, width, code])

    files = tf.data.Dataset.from_tensor_slices(tf.constant(paths, tf.string))
    rows = files.enumerate().map(describe, AUTOTUNE).ignore_errors()
    return np.array(list(rows.as_numpy_iterator()), "int64").reshape(-1, 4)


def _reason(path):
    try:
        read_image(path)
    except tf.errors.OpError as error:
        text = error.message.split("} ", 1)[-1].split("[Op:")[0]
        return text.splitlines()[0].strip().rstrip(".")[:120]
    return "unreadable a moment ago"


def _report_corrupt(count, reasons, is_skipped):
    listed = "; ".join(reasons) + ("; ..." if count > len(reasons) else "")
    if is_skipped:
        warnings.warn(  # at the line of the user who called the loader
            f"Skipped {count} file(s) that are no whole image: {listed}.", stacklevel=4
        )
        return
    raise ValueError(
        "Every file must be a whole JPEG, PNG, BMP or GIF image. "
        f"Received: {count} file(s) that are not: {listed}. "
        "Repair or remove them, or pass on_corrupt='skip' to go on without them."
    )


def common_shape(sizes, names, preparation):
    """Return the `(height, width, 3)` that all images share, or None.

    Raises:
        ValueError: If sizes differ and nothing says what to resize them to.
    """
    different = np.flatnonzero((sizes != sizes[0]).any(axis=1))
    if len(different) == 0:
        return (*map(int, sizes[0]), 3)
    if preparation.resizing is None:
        first, other = names[0], names[different[0]]
        raise ValueError(
            "`image_size` must be given when the images differ in size. "
            f"Received: image_size=None for images such as {first} "
            f"{tuple(sizes[0].tolist())} and {other} "
            f"{tuple(sizes[different[0]].tolist())}. "
            "Pass for example image_size=(224, 224)."
        )
    return None


def make_file_datasets(
    parts, paths, labels, preparation, *, shape, class_names, contents, gray=False
):
    """Make batches of `(image, label)` from the image files of each part.

    Args:
        parts: Dictionary, name of the part to array of indices. The part named
            `train` is reshuffled before every epoch and augmented; empty parts are
            left out.
        paths: List of `str`, the files.
        labels: Array of length `len(paths)`.
        preparation: A `Preparation`.
        shape: `(height, width, channels)` where all images share it, else None.
        class_names: List of `str`.
        contents: One entry per file that tells its content from all others, as JSON
            values (a hash; or name, size and time); or None.
        gray: Whether all images are grey, which is cheaper to prepare.

    Returns:
        List of `tf.data.Dataset` as `make_dataset` gives them, with `split_name`;
        `file_paths` lists the files in the order of `unshuffled`.
    """
    datasets = []
    for name, part in parts.items():
        if len(part) == 0:
            continue
        files = [paths[i] for i in part]
        examples = tf.data.Dataset.from_tensor_slices(
            (tf.constant(files), labels[part])
        )
        dataset = make_dataset(
            examples,
            read_gray_image if gray else read_image,
            preparation,
            training=name == "train",
            shape=shape,
            class_names=list(class_names),
            identity=_identify(part, labels, class_names, contents),
            gray=gray,
        )
        dataset.split_name, dataset.file_paths = name, files
        datasets.append(dataset)
    return datasets


def _identify(part, labels, class_names, contents):
    return contents and {
        "source": "image files",
        "contents": [contents[i] for i in part],
        "labels": digest(labels[part]),
        "class_names": list(class_names),
    }


def split_off(strata, fraction, seed):
    """Return the indices to train on, and those set aside: `fraction` of them.

    Either may be empty: 0 sets nothing aside, 1 everything.
    """
    everything, nothing = np.arange(len(strata)), np.arange(0)
    if fraction in (0, 1):
        return (nothing, everything) if fraction else (everything, nothing)
    return split_indices(strata, (1 - fraction, fraction), seed=seed)
