"""Predictions of an exported model, from files, images, texts or numbers."""

import json
import os
from pathlib import Path

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError

from tftransfer.checks import check_choice, check_whole_number
from tftransfer.export.about import FORMAT_VERSION, check_files
from tftransfer.export.images import (
    check_images,
    list_files,
    refuse_file,
    why_undecodable,
    why_unreadable,
)
from tftransfer.export.inputs import IMAGES, TEXTS
from tftransfer.export.predictions import build_predictions
from tftransfer.export.requirements import import_requirements, list_requirements
from tftransfer.export.runtimes import (
    ENGINES,
    TENSORFLOW,
    FixedSizeServer,
    choose_format,
)
from tftransfer.export.saved_model import METADATA_FILE, VERSION_FOLDER
from tftransfer.export.signatures import DEFAULT, FROM_IMAGES, METADATA
from tftransfer.formats.catalog import SAVED_MODEL


def load_exported(path, engine="auto"):
    """Load what `export_model` wrote, ready to predict.

    No Keras model is built. An exported SavedModel is a program, which can do what
    TensorFlow can: load those you trust. Files are compared with the SHA-256 in
    `metadata.json` first, which finds damage, not ill will.

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
    if metadata is not None and "files" in metadata:
        check_files(path, folder.parent, place.name, metadata["files"])
    if chosen != SAVED_MODEL:
        server = FixedSizeServer(place, metadata, chosen)
        return ExportedModel(None, metadata, server, chosen)
    loaded = _load(path, folder)
    return ExportedModel(loaded, metadata or _read_inside(path, loaded))


class ExportedModel:
    """An exported model in this process; `load_exported` makes it.

    Attributes:
        metadata: Content of `metadata.json` (without the proof where only the
            version folder was kept).
        engine: What computes: `"tensorflow"`, or the format that was chosen.

    Args:
        loaded: What `tf.saved_model.load` returned.
        metadata: Dictionary that describes it.
        server: A `FixedSizeServer` that computes instead.
        engine: Its name.
    """

    def __init__(self, loaded, metadata, server=None, engine=TENSORFLOW):
        self.metadata = metadata
        self.engine = engine
        self._server = server
        self._loaded = loaded  # holds the variables of the signatures

    @property
    def labels(self):
        """Names of the classes, in the order of the probabilities."""
        return self.metadata["class_names"]

    @property
    def task(self):
        """Name of the task: "classification", "multi_label" or "regression"."""
        return self.metadata["task"]

    @property
    def signatures(self):
        """The TensorFlow functions by name; empty for another engine."""
        return {} if self._loaded is None else self._loaded.signatures

    def predict(self, rows, *, batch_size=32, on_error="raise"):
        """Predict files, images, texts or numbers.

        Args:
            rows: For an image model: one file, a folder (the images directly in it, in
                the order of their names), a list of files, an array
                `(n, height, width, channels)`, or a list of such images of any sizes;
                pixels are whole numbers 0..255. Else texts, or an array
                `(n, …)` of numbers.
            batch_size: Most rows computed at once; of an export with `augment`, most
                views of rows.
            on_error: What to do about a file that is missing or no whole image:
                `"raise"`, or `"keep"`: its row tells the `error`, the others are
                answered.

        Returns:
            `Predictions`, in the order of `rows`.

        Raises:
            ValueError: If a file is missing or no image and `on_error` is `"raise"`, or
                rows do not fit the model. No prediction is returned then.
        """
        check_whole_number("batch_size", batch_size)
        check_choice("on_error", on_error, ("raise", "keep"))
        # All views of a row are computed at once; earlier exports have no such entry.
        batch_size = max(1, batch_size // len(self.metadata.get("augment") or [1]))
        kind = self.metadata["input"]
        if kind == TEXTS:
            return self._predict_texts(rows, batch_size)
        if kind != IMAGES:
            return self._predict_numbers(rows, batch_size)
        if isinstance(rows, (str, os.PathLike)) or _are_files(rows):
            return self._predict_files(list_files(rows), batch_size, on_error)
        return self._predict_images(rows, batch_size)

    def _predict_files(self, files, batch_size, on_error):
        self._check_takes_files(files)
        found = {row: why_unreadable(file) for row, file in enumerate(files)}
        errors = {row: reason for row, reason in found.items() if reason}
        if errors and on_error == "raise":
            row = min(errors)
            refuse_file(files[row], errors[row])
        outputs = np.full((len(files), len(self.labels)), np.nan, "float32")
        good = [row for row in range(len(files)) if row not in errors]
        for start in range(0, len(good), batch_size):
            rows = good[start : start + batch_size]
            encoded = {row: Path(files[row]).read_bytes() for row in rows}
            try:
                outputs[rows] = self._serve_bytes(encoded)
            except tf.errors.InvalidArgumentError:
                reasons = self._find_undecodable(encoded)
                if not reasons:
                    raise
                if on_error == "raise":
                    row = min(reasons)
                    refuse_file(files[row], reasons[row])
                errors |= reasons
                whole = {row: encoded[row] for row in rows if row not in reasons}
                if whole:
                    outputs[list(whole)] = self._serve_bytes(whole)
        return self._table(files, outputs, errors)

    def _serve_bytes(self, encoded):
        return self._serve(DEFAULT, tf.constant(list(encoded.values()), tf.string))

    def _find_undecodable(self, encoded):
        channels = self.metadata["channels"]
        found = {row: why_undecodable(x, channels) for row, x in encoded.items()}
        return {row: reason for row, reason in found.items() if reason}

    def _predict_images(self, images, batch_size):
        images = check_images(images, self.metadata["channels"])
        outputs = np.zeros((len(images), len(self.labels)), "float32")
        for shape in dict.fromkeys(image.shape for image in images):
            alike = [row for row, image in enumerate(images) if image.shape == shape]
            for start in range(0, len(alike), batch_size):
                batch = alike[start : start + batch_size]
                pixels = tf.constant(np.stack([images[row] for row in batch]))
                outputs[batch] = self._serve(FROM_IMAGES, pixels)
        return self._table(range(len(images)), outputs)

    def _predict_texts(self, texts, batch_size):
        texts = [texts] if isinstance(texts, (str, bytes)) else list(texts)
        shape = self._input_spec().shape[1:]
        rows = np.array(texts, object).reshape((len(texts), *shape))
        return self._predict_rows(rows, batch_size, tf.string)

    def _predict_numbers(self, numbers, batch_size):
        spec = self._input_spec()
        numbers = np.asarray(numbers)
        if not spec.shape.is_compatible_with(numbers.shape):
            raise ValueError(
                f"`rows` must be numbers of shape {tuple(spec.shape)}. "
                f"Received: rows of shape {numbers.shape}. "
                "Pass what the model was trained on, the batch first."
            )
        return self._predict_rows(numbers, batch_size, spec.dtype)

    def _predict_rows(self, rows, batch_size, dtype):
        outputs = [
            self._serve(DEFAULT, tf.cast(rows[start : start + batch_size], dtype))
            for start in range(0, len(rows), batch_size)
        ]
        none = np.zeros((0, len(self.labels)), "float32")
        return self._table(range(len(rows)), np.concatenate([none, *outputs]))

    def _serve(self, signature, rows):
        if self._server is not None:
            return self._server.serve(rows)
        (name,) = self.metadata["signatures"][signature]["inputs"]
        outputs = self.signatures[signature](**{name: rows})
        return outputs.get("probabilities", outputs.get("values")).numpy()

    def _table(self, sources, outputs, errors=None):
        return build_predictions(sources, outputs, self.task, self.labels, errors)

    def _input_spec(self):
        (spec,) = self.signatures[DEFAULT].structured_input_signature[1].values()
        return spec

    def _check_takes_files(self, files):
        if "image_bytes" not in self.metadata["signatures"][DEFAULT]["inputs"]:
            raise ValueError(
                "`rows` must be arrays for a model of "
                f"{self.metadata['channels']} channels, which no image file holds. "
                f"Received: rows={files[:3]}. Pass (n, height, width, channels)."
            )


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


def _are_files(rows):
    is_list = isinstance(rows, (list, tuple)) and len(rows) > 0
    return is_list and all(isinstance(row, (str, os.PathLike)) for row in rows)
