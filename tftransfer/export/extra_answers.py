"""What the further signatures of an export answer, row by row."""

from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tftransfer.decoding import decode_image
from tftransfer.explanation.explain import Explanation, read_classes
from tftransfer.explanation.maps import resize_heat, seen_box, to_heat
from tftransfer.export.extra_parity import PREDICTED
from tftransfer.export.extras import DOMAIN_SHIFT, EXPLAIN
from tftransfer.export.images import check_decodable
from tftransfer.export.inputs import IMAGES
from tftransfer.export.runtimes import build_resizing_of
from tftransfer.export.signatures import CLASS_SPEC
from tftransfer.tasks import Task


def check_has_extra(exported, name):
    """Raise `ValueError` unless an `ExportedModel` serves a signature."""
    if name in exported.signatures:
        return
    held = sorted(exported.metadata.get("extra_signatures") or {})
    wanted = (
        "tft.fit_domain_shift(model, train)" if name == DOMAIN_SHIFT else f"{name!r}"
    )
    advice = f"Export with extra_signatures=[{wanted}]."
    if name == EXPLAIN and exported.metadata["input"] != IMAGES:
        advice = "Heat maps are of images: a model of other rows has none."
    if name in held:
        advice = 'Load it with engine="tensorflow".'
    raise ValueError(
        f"`{name}` must be asked of an export that has this signature, loaded with "
        f'engine="tensorflow". Received: extra_signatures={held}, '
        f"engine={exported.engine!r}. {advice}"
    )


def answer_rows(exported, name, rows, batch_size, classes=None):
    """Run rows through a signature.

    Args:
        exported: `ExportedModel` that serves it.
        name: Of the signature.
        rows: List of files, of images, of texts or of arrays.
        batch_size: Most rows computed at once.
        classes: int64 array `(n,)` for the signature that takes them.

    Returns:
        Dictionary from the name of an output to an array or, where the shapes of rows
        differ, a list of arrays.

    Raises:
        ValueError: If there are no rows, or a file is missing or no whole image.
    """
    if not rows:
        raise ValueError(
            "`rows` must hold at least one row. Received: 0 rows. Pass files or arrays."
        )
    inputs = exported.metadata["signatures"][name]["inputs"]
    (taken,) = set(inputs) - {CLASS_SPEC.name}
    is_file = taken == "image_bytes"
    if not is_file and len({np.shape(row) for row in rows}) > 1:
        batch_size = 1
    parts = []
    for start in range(0, len(rows), batch_size):
        some = rows[start : start + batch_size]
        batch = [_encode(row) for row in some] if is_file else np.stack(some)
        feed = {taken: tf.convert_to_tensor(batch, inputs[taken]["dtype"])}
        if classes is not None:
            asked = classes[start : start + batch_size]
            feed[CLASS_SPEC.name] = tf.constant(asked, CLASS_SPEC.dtype)
        try:
            parts.append(exported.signatures[name](**feed))
        except tf.errors.InvalidArgumentError:
            check_decodable(some, batch, exported.metadata["channels"])
            raise
    return {key: _join([part[key].numpy() for part in parts]) for key in parts[0]}


def _encode(row):
    return Path(row).read_bytes() if isinstance(row, str) else tf.io.encode_png(row)


def name_classes(classes, num_rows, metadata):
    """Return the classes asked for, int64 `(n,)`, `PREDICTED` where none is.

    Raises:
        ValueError: See `explain`.
    """
    task = Task(metadata["task"], len(metadata["class_names"]))
    asked = read_classes(classes, num_rows, task)
    return np.full(num_rows, PREDICTED) if asked is None else asked.astype("int64")


def lay_over(answers, rows, metadata):
    """Lay heat over images of any size.

    Args:
        answers: What `answer_rows` gives for `"explain"`.
        rows: List of files or of images.
        metadata: Of the export.

    Returns:
        An `Explanation`.
    """
    resizing = build_resizing_of(metadata) if metadata["resizing"] else None
    sizes = [_size_of(row, metadata["channels"]) for row in rows]
    heat_maps = []
    for each, size in zip(answers["maps"], sizes, strict=True):
        heat = resize_heat(to_heat(each[None]), seen_box(size, resizing), size)
        heat_maps.append(keras.ops.convert_to_numpy(heat)[0])
    alike = np.stack(heat_maps) if len(set(sizes)) == 1 else heat_maps
    method = metadata["extra_signatures"][EXPLAIN]["method"]
    classes = answers["class_id"].astype(int)
    return Explanation(alike, classes, method, answers["maps"])


def _size_of(row, channels):
    is_file = isinstance(row, str)
    image = decode_image(Path(row).read_bytes(), channels) if is_file else row
    return tuple(map(int, image.shape[:2]))


def _join(arrays):
    if len({array.shape[1:] for array in arrays}) > 1:
        return [row for array in arrays for row in array]
    return np.concatenate(arrays)
