"""What metadata.json says of an export: the model, its weights and its files."""

import datetime
import hashlib
import json
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tftransfer._version import __version__

FORMAT_VERSION = 1
VERSION_FOLDER, METADATA_FILE = "1", "metadata.json"


def describe_model(model, model_input, task, class_names, metadata):
    """Return what is known of an export before it is written, as JSON values.

    Args:
        model: The `keras.Model`.
        model_input: Its `ModelInput`.
        task: Its `Task`.
        class_names: Names of the classes.
        metadata: Dictionary of the user's own, or `None`.

    Raises:
        TypeError: If `metadata` is no dictionary of JSON values.
    """
    now = datetime.datetime.now(datetime.UTC)
    return {
        "format": FORMAT_VERSION,
        "tftransfer": __version__,
        "keras": keras.__version__,
        "tensorflow": tf.__version__,
        "created": now.isoformat(timespec="seconds"),
        "name": model.name,
        "task": task.name,
        "class_names": class_names,
        "input": model_input.kind,
        "image_size": model_input.image_size and list(model_input.image_size),
        "channels": model_input.channels,
        "resizing": model_input.describe_resizing(),
        "weights_sha256": hash_weights(model),
        "metadata": _check_metadata(metadata),
    }


def hash_weights(model):
    """Return the SHA-256 of all weights of a model, in order.

    Equal for equal numbers, whatever layers are called.

    Example:

    >>> layers = [keras.layers.Dense(1, kernel_initializer="ones") for _ in range(2)]
    >>> models = [keras.Sequential([keras.Input((2,)), layer]) for layer in layers]
    >>> hash_weights(models[0]) == hash_weights(models[1])
    True
    """
    digest = hashlib.sha256()
    for weight in model.weights:
        values = np.ascontiguousarray(weight.numpy())
        digest.update(json.dumps([str(values.dtype), values.shape]).encode())
        digest.update(values.tobytes())
    return digest.hexdigest()


def hash_files(folder):
    """Return a dictionary from every file in a folder to its SHA-256.

    Example:

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = pathlib.Path(folder, "a.txt").write_bytes(b"abc")
    ...     hash_files(folder)["a.txt"][:16]  # FIPS 180-2, example B.1
    'ba7816bf8f01cfea'
    """
    files = sorted(file for file in Path(folder).rglob("*") if file.is_file())
    return {file.relative_to(folder).as_posix(): _hash_file(file) for file in files}


def check_files(path, root, folder, files):
    """Raise `ValueError` unless the files of a folder are those that were exported.

    Args:
        path: Of the export, for messages.
        root: Folder of the export.
        folder: Name of a folder in it.
        files: Dictionary from relative name to SHA-256, as `hash_files` gives.
    """
    hashed = hash_files(Path(root, folder))
    found = {f"{folder}/{name}": value for name, value in hashed.items()}
    mine = {name for name in files if name.startswith(f"{folder}/")}
    expected = {name: files[name] for name in mine}
    other = sorted(name for name, _ in found.items() ^ expected.items())
    if other:
        raise ValueError(
            "`path` must hold the files that export_model wrote, unchanged. "
            f"Received: path={str(path)!r}, where {other[0]!r} is missing or not the "
            "one in metadata.json. Copy the export anew, or export again."
        )


def _hash_file(path):
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_metadata(metadata):
    try:
        is_json = isinstance({} if metadata is None else metadata, dict)
        json.dumps(metadata)
    except (TypeError, ValueError):
        is_json = False
    if not is_json:
        raise TypeError(
            "`metadata` must be a dictionary of plain JSON values. "
            f"Received: metadata={metadata!r}. Turn arrays into lists of numbers."
        )
    return metadata or {}
