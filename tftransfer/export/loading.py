"""Loading what `export_model` wrote, after a look at its files."""

import json
import warnings
from pathlib import Path

import tensorflow as tf
from google.protobuf.message import DecodeError

from tftransfer.checks import check_choice
from tftransfer.export.about import (
    FORMAT_VERSION,
    METADATA_FILE,
    VERSION_FOLDER,
    check_files,
)
from tftransfer.export.inference import ExportedModel
from tftransfer.export.requirements import import_requirements, list_requirements
from tftransfer.export.runtimes import ENGINES, FixedSizeServer, choose_format
from tftransfer.export.signatures import METADATA
from tftransfer.formats.catalog import SAVED_MODEL


def load_exported(path, engine="auto"):
    """Load what `export_model` wrote, ready to predict.

    No Keras model is built. An exported SavedModel is a program, which can do what
    TensorFlow can: load those you trust. Files are compared with the SHA-256 in
    `metadata.json` first, which finds damage, not ill will; where that file is not
    beside them, as on a server, a warning says that nothing was compared.

    Args:
        path: The folder given to `export_model`, or the version folder `1` in it.
        engine: `"auto"` and `"tensorflow"`: the SavedModel, which resizes images as
            trained. `"litert"`, `"onnx"`, `"openvino"`: one of the formats of an
            image model, where the export holds it; images of another size than the
            model's are resized alike, then rounded to whole numbers.

    Returns:
        An `ExportedModel`.

    Raises:
        ValueError: If there is no such folder, it is damaged, or no export of
            tftransfer, or does not hold the format of `engine`.
        ImportError: If it needs a package that is not installed, such as
            tensorflow-text; the message gives the pip line.

    Example:

    >>> load_exported("no/such/folder")
    Traceback (most recent call last):
    ...
    ValueError: `path` must be a folder written by export_model. Received: ...
    """
    check_choice("engine", engine, ENGINES)
    folder = _find_saved_model(path)
    metadata = _read_beside(path, folder)
    chosen = choose_format(engine, path, metadata)
    place = folder if chosen == SAVED_MODEL else folder.parent / chosen
    is_checked = metadata is not None and "files" in metadata
    if is_checked:
        check_files(path, folder.parent, place.name, metadata["files"])
    if chosen != SAVED_MODEL:
        server = FixedSizeServer(place, metadata, chosen)
        return ExportedModel(None, metadata, server, chosen, path)
    loaded = _load(path, folder)
    metadata = metadata or _read_inside(path, loaded)
    if not is_checked:
        warnings.warn(
            f"The files of {str(folder)!r} are not checked: no {METADATA_FILE} with "
            "their SHA-256 lies beside them. A SavedModel is a program: load it only "
            "if you trust where it comes from.",
            stacklevel=2,
        )
    return ExportedModel(loaded, metadata, path=path)


def _find_saved_model(path):
    for folder in (Path(path, VERSION_FOLDER), Path(path)):
        if (folder / "saved_model.pb").is_file():
            return folder
    raise ValueError(
        "`path` must be a folder written by export_model. "
        f"Received: path={str(path)!r}, where there is no {VERSION_FOLDER}/"
        "saved_model.pb. Write one with tft.export_model(model, path)."
    )


def _load(path, folder):
    try:
        import_requirements(list_requirements(folder))
        return tf.saved_model.load(str(folder))
    except (OSError, ValueError, DecodeError, tf.errors.OpError) as error:
        raise ValueError(
            "`path` must be a folder written by export_model. "
            f"Received: path={str(path)!r}, a SavedModel that cannot be read: "
            f"{' '.join(str(error).split())[:300]}. Export the model again."
        ) from error


def _read_beside(path, folder):
    beside = folder.parent / METADATA_FILE
    if folder.name != VERSION_FOLDER or not beside.is_file():
        return None
    return _check_metadata(path, lambda: beside.read_text(encoding="utf-8"))


def _read_inside(path, loaded):
    # The version folder alone, as servers keep it.
    return _check_metadata(path, lambda: loaded.signatures[METADATA]()["json"].numpy())


def _check_metadata(path, read):
    try:
        metadata = json.loads(read())
        version = metadata["format"]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            "`path` must be a folder written by export_model. "
            f"Received: path={str(path)!r}, a SavedModel without readable metadata "
            f"({error!r}). Load other SavedModels with tf.saved_model.load."
        ) from None
    if version > FORMAT_VERSION:
        raise ValueError(
            f"`path` must be an export of format {FORMAT_VERSION} or older. "
            f"Received: path={str(path)!r} of format {version}, written by tftransfer "
            f"{metadata.get('tftransfer')}. Upgrade tftransfer."
        )
    return metadata
