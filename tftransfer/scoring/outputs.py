"""Files that a batch prediction ends in: CSV, JSON lines or Parquet."""

import csv
import importlib
import json

from tftransfer.checks import check_choice
from tftransfer.writing import replace_when_whole

KINDS = (".csv", ".jsonl", ".parquet")


def check_output(path):
    """Raise unless the ending of a `Path` is one that can be written here.

    Raises:
        ValueError: If the ending is none of `KINDS`.
        ImportError: If Parquet is asked for and PyArrow is not installed.
    """
    check_choice("output", path.suffix.lower(), KINDS)
    if path.suffix.lower() == ".parquet":
        try:
            importlib.import_module("pyarrow.parquet")
        except ImportError as error:
            raise ImportError(
                "`output` that ends in .parquet needs PyArrow. Install it: "
                "pip install pyarrow. Or let it end in .csv or .jsonl."
            ) from error


def write_output(path, batches, columns):
    """Write rows under a temporary name and rename the file.

    Args:
        path: `pathlib.Path` to write or replace.
        batches: Iterable of lists of dictionaries from column to a plain value.
        columns: Dictionary from column, in their order, to `str`, `int` or `float`.
    """
    write = {".csv": _write_csv, ".jsonl": _write_lines, ".parquet": _write_parquet}
    with replace_when_whole(path, overwrite=True) as partial:
        write[path.suffix.lower()](partial, batches, columns)


def _write_csv(path, batches, columns):
    with path.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        for rows in batches:
            writer.writerows(rows)


def _write_lines(path, batches, _):
    with path.open("w", encoding="utf-8") as file:
        for row in (row for rows in batches for row in rows):
            told = {name: value for name, value in row.items() if value is not None}
            file.write(json.dumps(told) + "\n")


def _write_parquet(path, batches, columns):
    import pyarrow
    import pyarrow.parquet

    kinds = {str: pyarrow.string(), int: pyarrow.int64(), float: pyarrow.float32()}
    schema = pyarrow.schema([(name, kinds[kind]) for name, kind in columns.items()])
    with pyarrow.parquet.ParquetWriter(path, schema) as writer:
        for rows in batches:
            told = [{name: _to_text(x) for name, x in row.items()} for row in rows]
            writer.write_table(pyarrow.Table.from_pylist(told, schema))


def _to_text(value):
    # A file's name may hold bytes that are no UTF-8, which Parquet cannot.
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    return value
