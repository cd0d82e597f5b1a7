"""The rows that a batch prediction is about: files below a folder, or a table's."""

import dataclasses
import hashlib
import os
from pathlib import Path

from tftransfer.data.table_rows import read_rows, table_kind
from tftransfer.decoding import IMAGE_SUFFIXES

SOURCE, ROW, TEXT, IMAGE = "source", "row", "text", "image"


@dataclasses.dataclass(frozen=True)
class Source:
    """Rows to predict.

    Attributes:
        names: What the output calls each row: its file, or its number in the table,
            from 1.
        rows: Files, or texts; `None` where a table holds none.
        column: `"source"`, or `"row"` for a table.
        digest: Tells these rows from others.
    """

    names: list
    rows: list
    column: str
    digest: str


def list_rows(given, is_text, text_column=None, image_column=None):
    """List the rows that `batch_predict` was given.

    Args:
        given: A folder, searched to its depth; a table; or a list of files or texts.
        is_text: Whether the model takes texts.
        text_column: Column of a table with texts.
        image_column: Column of a table with paths, relative to the table.

    Returns:
        A `Source`.

    Raises:
        FileNotFoundError: If there is no such folder or table.
        TypeError: If `given` is of another kind.
        ValueError: If there is no row, or the table has no such column.
    """
    if isinstance(given, (list, tuple)):
        if not given or not all(isinstance(row, (str, os.PathLike)) for row in given):
            raise TypeError(
                "`rows` must be a folder, a table, or a list of files or texts. "
                f"Received: rows={given!r:.200}. Pass for example a list of paths."
            )
        rows = [str(row) for row in given]
        return _listed(rows, is_text)
    path = Path(given).expanduser()
    if path.is_dir() and not is_text:
        files = [
            x for x in sorted(path.rglob("*")) if x.suffix.lower() in IMAGE_SUFFIXES
        ]
        if not files:
            raise ValueError(
                f"`rows` must be a folder with images {IMAGE_SUFFIXES} in it or below. "
                f"Received: rows={str(given)!r}, where there is none."
            )
        return _listed([str(file) for file in files], is_text)
    if path.is_file() and table_kind(path):
        return _read_table(path, is_text, text_column, image_column)
    if not path.exists():
        raise FileNotFoundError(
            "`rows` must be a folder, a table or a list. "
            f"Received: rows={str(given)!r}, which is not there."
        )
    if is_text:
        raise ValueError(
            "`rows` must be a .csv, .tsv or .jsonl table for a model of texts, or a "
            f"list of texts. Received: rows={str(given)!r}. Name the texts' column "
            "with text_column."
        )
    return _listed([str(given)], is_text)


def _listed(rows, is_text):
    if is_text:
        return Source(list(range(1, len(rows) + 1)), rows, ROW, _digest(rows))
    return Source(rows, rows, SOURCE, _digest([_describe(row) for row in rows]))


def _read_table(path, is_text, text_column, image_column):
    found, columns = read_rows(path)
    name = text_column or TEXT if is_text else image_column or IMAGE
    if name not in columns:
        word = "text_column" if is_text else "image_column"
        raise ValueError(
            f"`{word}` must be a column of the table, one of {columns}. "
            f"Received: {word}={name!r}, rows={str(path)!r}."
        )
    cells = [_to_filled(row[name]) for row in found.values()]
    numbers = list(range(1, len(cells) + 1))
    if is_text:
        return Source(numbers, cells, ROW, _digest(cells))
    files = [None if cell is None else str(path.parent / cell) for cell in cells]
    return Source(numbers, files, ROW, _digest([_describe(file) for file in files]))


def _to_filled(cell):
    """Return a cell as str, `None` where there is nothing in it."""
    return str(cell) if cell is not None and str(cell).strip() else None


def _describe(file):
    """Return what changes when the file does."""
    try:
        found = os.stat(file)
    except (OSError, TypeError, ValueError):
        return [file]
    return [file, found.st_size, found.st_mtime_ns]


def _digest(rows):
    hashed = hashlib.sha256()
    for row in rows:
        hashed.update(repr(row).encode("utf-8", "surrogateescape") + b"\0")
    return hashed.hexdigest()
