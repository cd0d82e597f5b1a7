"""An export of any kind as a function from rows to what it serves."""

import dataclasses
import functools
import pathlib
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tftransfer.diagnosis.finding import NotChecked
from tftransfer.export.about import VERSION_FOLDER
from tftransfer.export.loading import load_exported
from tftransfer.export.target_folder import is_export

_SIGNATURES = ("serve", "serving_default")


@dataclasses.dataclass(frozen=True)
class Served:
    """An export in this process.

    Attributes:
        predict: Function from an array of rows, as the model takes them, to what is
            served: of our exports probabilities or values, of others what the model
            gives.
        metadata: That of `export_model`, or `None`.
    """

    predict: Callable
    metadata: dict | None = None


def check_export(path):
    """Raise `ValueError` unless an export, ours or a plain SavedModel, is at `path`."""
    folder = pathlib.Path(path)
    if not any((x / "saved_model.pb").is_file() for x in (folder, folder / "1")):
        raise ValueError(
            "`export` must be a folder written by export_model or model.export. "
            f"Received: export={str(path)!r}, where there is no saved_model.pb. Check "
            "the path."
        )


def is_ours(path):
    """Whether `export_model` wrote the folder."""
    folder = pathlib.Path(path)
    return is_export(folder.parent if folder.name == VERSION_FOLDER else folder)


def load_export(path):
    """Load an export.

    Args:
        path: Folder of `export_model`, or SavedModel that `model.export` wrote.

    Returns:
        `Served`.

    Raises:
        NotChecked: If it cannot be called with one array.
    """
    if is_ours(path):
        exported = load_exported(path)
        return Served(lambda rows: _serve_ours(exported, rows), exported.metadata)
    loaded = tf.saved_model.load(str(path))
    for name in _SIGNATURES:
        function = loaded.signatures.get(name)
        if function is None:
            continue
        specs = function.structured_input_signature[1]
        if len(specs) == 1:
            # The function does not keep the variables alive: `loaded` must.
            return Served(functools.partial(_serve_plain, loaded, function, specs))
    raise NotChecked("the export has no signature of one input")


def _serve_ours(exported, rows):
    rows = np.asarray(rows)
    if exported.metadata["input"] == "images":
        rows = np.clip(np.rint(rows), 0, 255).astype("uint8")
    served = [row.probabilities or row.values for row in exported.predict(rows)]
    return np.array([list(row.values()) for row in served])


def _serve_plain(loaded, function, specs, rows):
    ((name, spec),) = specs.items()
    outputs = function(**{name: tf.cast(np.asarray(rows), spec.dtype)})
    return np.concatenate([np.ravel(x.numpy()) for x in outputs.values()])
