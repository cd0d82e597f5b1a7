"""Formats beside the SavedModel, serving images of any size in this process."""

import keras
import numpy as np
import tensorflow as tf

from tftransfer.decoding import decode_image
from tftransfer.engines.cores import count_cores
from tftransfer.export.rows import to_pixels
from tftransfer.formats.catalog import SAVED_MODEL, WRITERS, check_installed
from tftransfer.formats.run_alone import RUNTIMES
from tftransfer.resizing import resize_images

TENSORFLOW = "tensorflow"
ENGINES = tuple(sorted(["auto", TENSORFLOW, *WRITERS]))


def choose_format(engine, path, metadata):
    """Return the format that an engine runs, after checking that the export holds it.

    Args:
        engine: One of `ENGINES`.
        path: Of the export, for messages.
        metadata: Content of its `metadata.json`, or `None` where it is missing.

    Raises:
        ValueError: If the export holds no such format.
        ImportError: If the runtime is not installed; the message gives the pip line.
    """
    if engine in ("auto", TENSORFLOW):
        return SAVED_MODEL
    held = ((metadata or {}).get("formats") or {}).get("accepted", {})
    if engine not in held:
        formats = sorted(set(held) - {SAVED_MODEL})
        raise ValueError(
            f"`engine` must be one of {['auto', TENSORFLOW, *formats]}, which this "
            f"export holds. Received: engine={engine!r}, path={str(path)!r}. "
            f"Export with formats=[{SAVED_MODEL!r}, {engine!r}]."
        )
    check_installed(engine, [RUNTIMES[engine][1].replace("-", "_")])
    return engine


class FixedSizeServer:
    """A format that takes uint8 images of one size, behind decoding and resizing.

    Images of other sizes are resized as the model does, and rounded.

    Args:
        folder: Of the format.
        metadata: Content of `metadata.json`.
        name: Of the format.
    """

    def __init__(self, folder, metadata, name):
        self._serve = RUNTIMES[name][0](str(folder), count_cores())
        self._channels = metadata["channels"]
        self._resizing = build_resizing_of(metadata)

    def serve(self, rows):
        """Return probabilities or values, `(n, num_classes)`.

        Args:
            rows: Tensor `(n,)` of encoded images, or uint8 `(n, height, width,
                channels)`.
        """
        if rows.dtype == tf.string:
            decoded = [decode_image(row, self._channels) for row in rows]
            images = np.stack([self._fit(image) for image in decoded])
        else:
            images = self._fit(rows)
        outputs = self._serve(images)
        return outputs.get("probabilities", outputs.get("values"))

    def _fit(self, images):
        return to_pixels(np.asarray(resize_images(images, self._resizing)))


def build_resizing_of(metadata):
    """Build the `Resizing` that an export's metadata describe."""
    settings = metadata["resizing"]
    return keras.layers.Resizing(
        *metadata["image_size"],
        interpolation=settings["interpolation"],
        antialias=settings["antialias"],
        crop_to_aspect_ratio=settings["crop"],
        pad_to_aspect_ratio=settings["pad"],
        dtype="float32",
    )
