"""Predictions of an exported model, from files, images, texts or numbers."""

import math
import os
from pathlib import Path

import numpy as np
import tensorflow as tf

from tftransfer.checks import check_choice, check_whole_number
from tftransfer.export.extra_answers import (
    answer_rows,
    check_has_extra,
    lay_over,
    name_classes,
)
from tftransfer.export.extras import DOMAIN_SHIFT, EXPLAIN, FEATURES
from tftransfer.export.images import (
    are_files,
    check_images,
    check_readable,
    check_rows,
    list_files,
    refuse_file,
    why_undecodable,
    why_unreadable,
)
from tftransfer.export.inputs import IMAGES, TEXTS
from tftransfer.export.predictions import build_predictions
from tftransfer.export.runtimes import TENSORFLOW
from tftransfer.export.signatures import DEFAULT, FROM_IMAGES

_OR_KEEP = ', or pass on_error="keep" (--on-error keep) to have the others answered'


class ExportedModel:
    """An exported model in this process; `load_exported` makes it.

    Attributes:
        metadata: Content of `metadata.json` (without the proof where only the
            version folder was kept).
        engine: What computes: `"tensorflow"`, or the format that was chosen.
        path: Folder it was loaded from.

    Args:
        loaded: What `tf.saved_model.load` returned.
        metadata: Dictionary that describes it.
        server: A `FixedSizeServer` that computes instead.
        engine: Its name.
        path: See above.
    """

    def __init__(self, loaded, metadata, server=None, engine=TENSORFLOW, path=None):
        self.metadata = metadata
        self.engine, self.path = engine, path
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
        check_rows(rows)
        # All views of a row are computed at once; earlier exports have no such entry.
        batch_size = max(1, batch_size // len(self.metadata.get("augment") or [1]))
        kind = self.metadata["input"]
        if kind == TEXTS:
            return self._predict_rows(self._read_texts(rows), batch_size)
        if kind != IMAGES:
            return self._predict_rows(self._read_numbers(rows), batch_size)
        if isinstance(rows, (str, os.PathLike)) or are_files(rows):
            return self._predict_files(list_files(rows), batch_size, on_error)
        return self._predict_images(rows, batch_size)

    def features(self, rows, *, batch_size=32):
        """Return what the head stands on, of an export that has this signature.

        Args:
            rows: See `predict`.
            batch_size: Most rows computed at once.

        Returns:
            float32 array `(n, width)`.

        Raises:
            ValueError: If the export was written without `"features"` among its
                `extra_signatures`, or a row does not fit.
        """
        return self._answer(FEATURES, rows, batch_size)["features"]

    def domain_shift(self, rows, *, batch_size=32):
        """Return how strange rows are, of an export that has this signature.

        The score that 95 % of known rows do not exceed is `"threshold"` in
        `metadata["extra_signatures"]["domain_shift"]`; it is there only if
        `fit_domain_shift` got `inside`.

        Args:
            rows: See `predict`.
            batch_size: Most rows computed at once.

        Returns:
            float32 array `(n,)`; higher is stranger.

        Raises:
            ValueError: If the export was written without what `tft.fit_domain_shift`
                returned among its `extra_signatures`, or a row does not fit.
        """
        return self._answer(DOMAIN_SHIFT, rows, batch_size)["score"]

    def explain(self, rows, classes=None, *, batch_size=32):
        """Show where in each image the model finds a class: see `tft.explain`.

        Args:
            rows: Files or images, see `predict`.
            classes: Class to explain: one for all, one for each image, or `None` for
                the class predicted.
            batch_size: Most images computed at once.

        Returns:
            An `Explanation`; its heat maps have the size of each image, a list of
            arrays where images differ in size.

        Raises:
            ValueError: If the export was written without `"explain"` among its
                `extra_signatures`, or an image or a class does not fit.
        """
        check_has_extra(self, EXPLAIN)
        check_whole_number("batch_size", batch_size)
        images = self._read_rows(rows)
        classes = name_classes(classes, len(images), self.metadata)
        found = answer_rows(self, EXPLAIN, images, batch_size, classes)
        return lay_over(found, images, self.metadata)

    def _answer(self, name, rows, batch_size):
        check_has_extra(self, name)
        check_whole_number("batch_size", batch_size)
        return answer_rows(self, name, self._read_rows(rows), batch_size)

    def _read_rows(self, rows):
        """Return a list of files, images, texts or rows of numbers, all looked at."""
        check_rows(rows)
        kind = self.metadata["input"]
        if kind == TEXTS:
            return list(self._read_texts(rows))
        if kind != IMAGES:
            return list(self._read_numbers(rows))
        if isinstance(rows, (str, os.PathLike)) or are_files(rows):
            files = list_files(rows)
            self._check_takes_files(files)
            check_readable(files)
            return files
        return check_images(rows, self.metadata["channels"])

    def _predict_files(self, files, batch_size, on_error):
        self._check_takes_files(files)
        found = {row: why_unreadable(file) for row, file in enumerate(files)}
        errors = {row: reason for row, reason in found.items() if reason}
        if errors and on_error == "raise":
            row = min(errors)
            refuse_file(files[row], errors[row], _OR_KEEP)
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
                    refuse_file(files[row], reasons[row], _OR_KEEP)
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

    def _read_texts(self, texts):
        texts = [texts] if isinstance(texts, (str, bytes)) else list(texts)
        texts = [x.numpy() if tf.is_tensor(x) else x for x in texts]
        shape = (len(texts), *self._input_spec().shape[1:])
        given = np.array(texts, object)
        wrong = [x for x in given.ravel() if not isinstance(x, (str, bytes))]
        if wrong or given.size != math.prod(shape):
            found = repr(wrong[0]) if wrong else f"texts of shape {given.shape}"
            raise TypeError(
                "`rows` must be a text or a list of texts. Received: "
                f"{found:.99}, in {len(texts)} rows. Pass a str for each row."
            )
        return given.reshape(shape)

    def _read_numbers(self, numbers):
        spec = self._input_spec()
        numbers = np.asarray(numbers)
        if not spec.shape.is_compatible_with(numbers.shape):
            raise ValueError(
                f"`rows` must be numbers of shape {tuple(spec.shape)}. "
                f"Received: rows of shape {numbers.shape}. "
                "Pass what the model was trained on, the batch first."
            )
        return numbers

    def _predict_rows(self, rows, batch_size):
        dtype = self._input_spec().dtype
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
