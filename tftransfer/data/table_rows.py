"""Rows of tables: CSV, TSV and JSON lines, plain or compressed."""

import bz2
import csv as csv_format
import gzip
import itertools
import json
import lzma
import sys
from pathlib import Path
from typing import Any

OPENERS = {".bz2": bz2.open, ".gz": gzip.open, ".xz": lzma.open}
READERS = ("csv", "tsv", "jsonl")


def find_table(csv):
    """Return the path of a table, checked.

    Raises:
        FileNotFoundError: If there is no such file.
    """
    path = Path(csv).expanduser()
    if not path.is_file():
        raise FileNotFoundError(
            "`csv` must be a file with a header row, one image or text per line. "
            f"Received: csv={str(csv)!r}, which is no file."
        )
    return path


def read_rows(csv):
    """Read a table with one row for each example.

    Bytes that are no UTF-8 are kept, as Python keeps them in file names; encode with
    `errors="surrogateescape"` to have them back.

    Args:
        csv: Path. `.tsv` is separated by tabs, `.jsonl` holds an object on each line,
            anything else is separated by commas; `.gz`, `.xz` and `.bz2` behind it
            are unpacked.

    Returns:
        Dictionary of the number of the line where a row begins, from 1, to a
        dictionary of column name to cell; and the list of columns. Cells are `str`
        (None where a line is too short), in JSON what stands there.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not to be read, has no rows or more cells than columns.
    """
    path = find_table(csv)
    kind = table_kind(path)
    read = _read_json if kind == "jsonl" else _read_cells
    try:
        with _open(path) as file:
            rows, columns = read(file, path.name, "\t" if kind == "tsv" else ",")
    except (OSError, EOFError, lzma.LZMAError, csv_format.Error) as error:
        raise ValueError(
            f"`csv` must be a whole table. Received: csv={str(csv)!r}, which is not to "
            f"be read: {error}. Write or fetch it anew."
        ) from error
    if not rows:
        raise ValueError(
            "`csv` must have at least one row below the header. "
            f"Received: csv={str(csv)!r} with columns {columns} and no rows."
        )
    return rows, columns


def table_kind(path):
    """Return `"csv"`, `"tsv"` or `"jsonl"` by the ending of a `Path`, else `None`."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in OPENERS:
        suffixes.pop()
    kind = suffixes[-1].removeprefix(".") if suffixes else ""
    return kind if kind in READERS else None


def _open(path):
    opener: Any = OPENERS.get(path.suffix.lower(), open)
    return opener(
        path, "rt", encoding="utf-8-sig", errors="surrogateescape", newline=""
    )


def _read_cells(file, name, delimiter):
    # A whole book may stand in one cell. The limit is the process's: give it back.
    limit = csv_format.field_size_limit(sys.maxsize)
    try:
        lines = csv_format.reader(file, delimiter=delimiter)
        columns = next(lines, [])
        rows, line = {}, lines.line_num + 1
        for cells in lines:
            if cells:
                _check_width(cells, columns, name, line)
                rows[line] = dict(itertools.zip_longest(columns, cells[: len(columns)]))
            line = lines.line_num + 1
    finally:
        csv_format.field_size_limit(limit)
    return rows, columns


def _check_width(cells, columns, name, line):
    if any(cells[len(columns) :]):
        raise ValueError(
            f"Every row of {name} must have at most as many cells as the header. "
            f"Received: {len(cells)} cells in row {line}, for the columns {columns}. "
            "Put quotes around cells that contain the separator."
        )


def _read_json(file, name, _):
    rows: dict = {}
    columns: dict = {}
    for line, text in enumerate(file, 1):
        if not text.strip():
            continue
        try:
            row = json.loads(text)
        except ValueError:
            row = None
        if not isinstance(row, dict):
            raise ValueError(
                f"Every line of {name} must be a JSON object that names its cells. "
                f"Received: {text.strip()[:60]!r} in line {line}. "
                "Write one object per line, without commas between them."
            )
        rows[line] = row
        columns.update(dict.fromkeys(row))
    every = list(columns)
    return {line: dict.fromkeys(every) | row for line, row in rows.items()}, every
