"""Datasets of texts in memory: checked once, split and labeled."""

import hashlib
import warnings

import numpy as np
import tensorflow as tf

from tftransfer.data.files import SHOWN
from tftransfer.data.fingerprints import digest
from tftransfer.data.pipelines import make_dataset


def check_no_pixels(source, preparation):
    """Raise `ValueError` where texts come with options that are for images.

    Args:
        source: `str`, what the texts are read from, for the message.
        preparation: A `Preparation`.
    """
    if preparation.resizing is not None or preparation.augment or preparation.crop:
        raise ValueError(
            "`image_size`, `augment` and `crop` must be left out for texts. "
            f"Received: image_size={preparation.image_size!r}, "
            f"augment={preparation.augment!r}, crop={preparation.crop!r} for {source}."
        )


def join_texts(parts):
    """Join the texts of several columns with blanks; empty ones leave none behind."""
    return " ".join(filter(None, (part.strip() for part in parts)))


def find_texts(reasons, names, *, wanted, on_corrupt):
    """Return the indices of usable texts; name the others with what they are.

    Args:
        reasons: List over all texts: None for a usable one, else a `str`.
        names: List of `str`, what to call each text in a message.
        wanted: `str`, what every text must be, for the message.
        on_corrupt: `"error"` to refuse unusable texts, `"skip"` to warn and go on.

    Returns:
        int64 array of indices.

    Raises:
        ValueError: If one is not usable and `on_corrupt` is `"error"`, or none is.
    """
    bad = [i for i, reason in enumerate(reasons) if reason]
    if bad:
        listed = "; ".join(f"{names[i]} ({reasons[i]})" for i in bad[:SHOWN])
        listed += "; ..." if len(bad) > SHOWN else ""
        if on_corrupt == "error" or len(bad) == len(names):
            raise ValueError(
                f"{wanted}. Received: {len(bad)} that are not: {listed}. "
                "Correct or remove them, or pass on_corrupt='skip' to go on without "
                "them."
            )
        warnings.warn(f"Skipped {len(bad)} without a text: {listed}.", stacklevel=4)
    return np.array([i for i, reason in enumerate(reasons) if not reason], "int64")


def warn_of_encoding(texts, names):
    """Warn where texts are no UTF-8; their bytes are kept as they are."""
    strange = [
        name for name, text in zip(names, texts, strict=True) if not _is_utf8(text)
    ]
    if strange:
        more = "; ..." if len(strange) > SHOWN else ""
        warnings.warn(
            f"{len(strange)} text(s) are not UTF-8: "
            f"{'; '.join(strange[:SHOWN])}{more}. "
            "Their bytes are kept as they are, and most models take what is not ASCII "
            "in them for unknown. Save the file as UTF-8.",
            stacklevel=4,
        )


def _is_utf8(text):
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def make_text_datasets(parts, texts, labels, preparation, *, class_names, paths=None):
    """Make batches of `(text, label)` from the texts of each part.

    Args:
        parts: Dictionary, name of the part to array of indices. The part named
            `train` is reshuffled before every epoch; empty parts are left out.
        texts: List of `bytes`, kept in memory.
        labels: Array of length `len(texts)`.
        preparation: A `Preparation`.
        class_names: List of `str`.
        paths: List of `str`, the file of each text, or None.

    Returns:
        List of `tf.data.Dataset` as `make_dataset` gives them, with `split_name`;
        with `paths`, `file_paths` lists the files in the order of `unshuffled`.
    """
    datasets = []
    for name, part in parts.items():
        if len(part) == 0:
            continue
        chosen = [texts[i] for i in part]
        dataset = make_dataset(
            tf.data.Dataset.from_tensor_slices((tf.constant(chosen), labels[part])),
            tf.identity,
            preparation,
            training=name == "train",
            class_names=list(class_names),
            identity={
                "source": "texts",
                "contents": _hash_texts(chosen),
                "labels": digest(labels[part]),
                "class_names": list(class_names),
            },
        )
        dataset.split_name = name
        if paths is not None:
            dataset.file_paths = [paths[i] for i in part]
        datasets.append(dataset)
    return datasets


def _hash_texts(texts):
    content = hashlib.sha256()
    for text in texts:
        content.update(len(text).to_bytes(8, "big"))
        content.update(text)
    return content.hexdigest()
