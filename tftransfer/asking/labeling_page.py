"""A page to label asked rows by, in any browser, without a network."""

import base64
import hashlib
import html
import io
import json
import re
from importlib import resources
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from tftransfer.asking.labels_file import (
    COLUMNS,
    make_row_id,
    to_cell,
    write_table,
)
from tftransfer.writing import check_may_write, replace_when_whole

LARGEST_SIDE = 512  # of a picture in the page, in pixels
MOST_FEATURES = 60  # shown of a row
_LONGEST_CELL = 120
_LONGEST_TEXT = 20_000


def write_labeling_files(
    folder,
    rows,
    classes,
    previews,
    *,
    control=None,
    candidate=None,
    title="Label these rows",
    data_key="",
    name="to_label",
    overwrite=False,
):
    """Write `to_label.csv` and, beside it, the page `to_label.html` to fill it with.

    The page shows one row after the other and takes its label by a key or a click; it
    holds everything it needs, asks no network, keeps what was labeled in the browser
    and gives the filled CSV as a download. What the models say is in the CSV alone:
    on the page it would lead whoever labels. Both files can be read by `read_labels`
    once filled, whichever is used.

    Args:
        folder: Where; it is made if it does not exist.
        rows: Places in the target, whole numbers, in the order in which they were
            drawn.
        classes: List of all classes, `str` or whole numbers.
        previews: For each row what a person can label it by: an image as uint8 array
            `(height, width)` or `(height, width, 1, 3 or 4)`; the `pathlib.Path` of an
            image file; a text as `str`; features as an array of one axis, or as a
            dictionary from name to value.
        control: For each row the class the control says, or None.
        candidate: For each row the class a candidate says, or None.
        title: Heading of the page.
        data_key: `str` that tells these target data from others; it is needed again
            for reading.
        name: Of both files, without what is behind the dot.
        overwrite: Whether files of these names may be replaced.

    Returns:
        Tuple of two `pathlib.Path`, the CSV and the page.

    Raises:
        TypeError: If a preview is none of the above.
        ValueError: If there are no rows or classes, one of them twice, the numbers of
            rows and previews differ, an image cannot be read, or a file exists.

    Example:

    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> table, page = write_labeling_files(
    ...     folder.name, [12, 3], ["good", "bad"], ["works well", "broke at once"]
    ... )
    >>> table.read_text("utf-8-sig").splitlines()[1]
    'r12-1c61fc83,,works well,,'
    >>> folder.cleanup()
    """
    rows, classes, previews = list(rows), list(classes), list(previews)
    _check_lists(rows, classes, previews)
    paths = [Path(folder, f"{name}.{kind}") for kind in ("csv", "html")]
    for path in paths:
        check_may_write(path, overwrite)
    ids = [make_row_id(row, classes, data_key) for row in rows]
    items = [_describe(row, each) for row, each in zip(rows, previews, strict=True)]
    said = [
        _as_cells("control", control, rows),
        _as_cells("candidate", candidate, rows),
    ]
    cells = [
        [_preview_cell(each), *labels]
        for each, *labels in zip(previews, *said, strict=True)
    ]
    entries = [
        {**item, "id": row_id, "row": int(row), "cells": rest}
        for item, row_id, row, rest in zip(items, ids, rows, cells, strict=True)
    ]
    with replace_when_whole(paths[1], overwrite) as partial:
        page = _build_page(title, classes, entries, paths[0].name)
        partial.write_text(page, encoding="utf-8")
    with replace_when_whole(paths[0], overwrite) as partial:
        write_table(partial, ids, cells)
    return tuple(paths)


def _check_lists(rows, classes, previews):
    names = [str(name).strip() for name in classes]
    if not classes or len(set(names)) < len(names) or not all(names):
        raise ValueError(
            "`classes` must hold names that differ, at least one. "
            f"Received: classes={classes!r}. Pass the class names of the source."
        )
    is_whole = all(isinstance(row, (int, np.integer)) and row >= 0 for row in rows)
    if not rows or len(set(rows)) < len(rows) or not is_whole:
        raise ValueError(
            "`rows` must hold places in the target, whole numbers >= 0 that differ. "
            f"Received: rows={rows!r}. "
            "Take those of `choose_rows`; with none there is nothing to ask."
        )
    if len(previews) != len(rows):
        raise ValueError(
            "`previews` must hold one preview for each row. "
            f"Received: {len(previews)} previews, {len(rows)} rows. "
            "Pass what to show of the asked rows alone."
        )


def _as_cells(name, labels, rows):
    labels = [""] * len(rows) if labels is None else list(labels)
    if len(labels) != len(rows):
        raise ValueError(
            f"`{name}` must hold one class for each row. "
            f"Received: {name} with {len(labels)} classes, {len(rows)} rows. "
            "Pass those of the asked rows alone."
        )
    return [to_cell(label) for label in labels]


def _preview_cell(preview):
    if isinstance(preview, (str, Path)):
        text = to_cell(preview)
        return text if len(text) <= _LONGEST_CELL else f"{text[:_LONGEST_CELL]}…"
    return ""


def _describe(row, preview):
    """Return what the page shows of a row, as plain JSON values."""
    if isinstance(preview, str):
        cut = "" if len(preview) <= _LONGEST_TEXT else " …"
        return {"kind": "text", "value": preview[:_LONGEST_TEXT] + cut}
    if isinstance(preview, Path):
        return {"kind": "image", "value": _embed(_open_image(preview))}
    if isinstance(preview, dict):
        return _describe_features(preview)
    array = np.asarray(preview)
    if array.ndim == 1 and array.dtype.kind in "biuf":
        return _describe_features(
            {f"feature {place}": value for place, value in enumerate(array)}
        )
    is_image = array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (1, 3, 4))
    if not is_image or array.dtype != np.uint8 or not array.size:
        raise TypeError(
            "`previews` must hold uint8 images (height, width, 1, 3 or 4), paths of "
            "image files, texts, or rows of features. Received: previews with "
            f"{type(preview).__name__} of shape {array.shape} and {array.dtype} for "
            f"row {row}. Cast pixels by image.round().clip(0, 255).astype('uint8')."
        )
    gray = array.ndim == 3 and array.shape[2] == 1
    return {
        "kind": "image",
        "value": _embed(Image.fromarray(array[..., 0] if gray else array)),
    }


def _describe_features(features):
    shown = list(features.items())[:MOST_FEATURES]
    lines = []
    for name, value in shown:
        is_float = isinstance(value, (float, np.floating))
        text = f"{value:.6g}" if is_float else str(value)
        lines.append([str(name), text])
    return {"kind": "features", "value": lines, "more": len(features) - len(shown)}


def _open_image(path):
    try:
        with Image.open(path) as image:
            kind = (
                "RGBA"
                if "A" in image.getbands() or "transparency" in image.info
                else "RGB"
            )
            return image.convert("L" if image.mode in ("1", "L") else kind)
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError):
        raise ValueError(
            "`previews` must name image files that can be read. "
            f"Received: previews with {str(path)!r}, which is none. "
            "Pass the image as a uint8 array, or a text as `str`."
        ) from None


def _embed(image):
    """Return an image as a `data:` address of a PNG, made smaller where it is large."""
    image.thumbnail((LARGEST_SIDE, LARGEST_SIDE), Image.Resampling.LANCZOS)
    content = io.BytesIO()
    image.save(content, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(content.getvalue()).decode()


def _build_page(title, classes, entries, file):
    """Fill the page; whatever comes from data is text in it, never markup or script."""
    files = resources.files("tftransfer.asking")
    page, style, script = (
        files.joinpath(f"labeling_page.{kind}").read_text(encoding="utf-8")
        for kind in ("html", "css", "js")
    )
    ids = json.dumps([entry["id"] for entry in entries])
    data = {
        "classes": [str(name) for name in classes],
        "columns": COLUMNS,
        "file": file,
        "rows": entries,
        "store": f"to_label {hashlib.sha256(ids.encode()).hexdigest()[:16]}",
    }
    policy = (
        f"default-src 'none'; img-src data:; style-src {_hash(style)}; "
        f"script-src {_hash(script)}; base-uri 'none'; form-action 'none'"
    )
    parts = {
        "policy": html.escape(policy, quote=False),
        "title": html.escape(title),
        "file": html.escape(file),
        "style": style,
        "script": script,
        "data": json.dumps(data).replace("<", "\\u003c"),
    }
    # All in one pass: what is filled in is not looked at again.
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], page)


def _hash(content):
    digest = hashlib.sha256(content.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
