"""`to_label.csv`: asked rows with room for labels, written and read back.

People open it in spreadsheets, which change what they think are dates and numbers,
write semicolons for commas, and let a column slip by a line. So each row has an id
that looks like neither and holds a checksum.
"""

import codecs
import csv
import hashlib
import io
import json
import re
from pathlib import Path

COLUMNS = ("row", "label", "preview", "control", "candidate")
_ROW_ID = re.compile(r"r(\d+)-([0-9a-f]{8})")
_FORMULA = ("=", "+", "-", "@")  # what a spreadsheet would compute


def make_row_id(row, classes, data_key=""):
    """Return the id of a row in a file of labels.

    Args:
        row: Whole number >= 0, place in the target.
        classes: List of all classes.
        data_key: `str` that tells these target data from others.

    Example:

    >>> make_row_id(7, ["cat", "dog"])
    'r7-ffcf1f8e'
    """
    names = [str(name) for name in classes]
    text = json.dumps([data_key, names, int(row)])
    return f"r{int(row)}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def write_table(path, ids, cells):
    """Write the file, all labels empty.

    Args:
        path: Where; what is there is replaced.
        ids: List of `make_row_id`.
        cells: For each id the three `str` after the label.
    """
    # The mark at the start tells Excel that this is UTF-8.
    with open(path, "w", encoding="utf-8-sig", newline="", errors="replace") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for row_id, rest in zip(ids, cells, strict=True):
            writer.writerow([row_id, "", *rest])


def to_cell(value):
    r"""Return a value as one line of text that no spreadsheet takes for a formula.

    Example:

    >>> to_cell("=HYPERLINK(1)"), to_cell("two\nlines")
    ("'=HYPERLINK(1)", 'two lines')
    """
    text = " ".join(str(value).split())
    return f"'{text}" if text.startswith(_FORMULA) else text


def read_labels(path, classes, *, data_key="", rows=None):
    r"""Read a filled `to_label.csv`, as the page or a spreadsheet saved it.

    Commas, semicolons or tabs, any order of lines and columns, more columns, and the
    encodings of Excel are understood. Rows without a label are left out, and so are
    rows whose line was deleted.

    Args:
        path: The file.
        classes: List of all classes, as given to `write_labeling_files`. In the file
            they may be written with other capitals, or numbers in another way (`1.0`
            for `01`), where that can mean one class only.
        data_key: As given to `write_labeling_files`.
        rows: Rows that were asked, in their order, or None where that is not known.

    Returns:
        Dictionary from row to one of `classes`, in the order of `rows`, or else of the
        file.

    Raises:
        ValueError: If the file is not to be found or has no columns `row` and `label`;
            a row id was edited, is missing, occurs twice, comes from another file or
            was not asked; or a label is no class.

    Example:

    >>> import pathlib, tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> file = pathlib.Path(folder.name, "to_label.csv")
    >>> _ = file.write_text("row;label\nr7-ffcf1f8e;dog\n")
    >>> read_labels(file, ["cat", "dog"])
    {7: 'dog'}
    >>> folder.cleanup()
    """
    lines = _read_lines(path)
    found = _read_row_ids(path, lines, classes, data_key)
    if rows is not None:
        _check_asked(path, found, rows)
    read = _LabelReader(path, classes)
    labels = {
        row: read(number, cell) for row, (number, cell) in found.items() if cell.strip()
    }
    if rows is None:
        return labels
    return {int(row): labels[int(row)] for row in rows if int(row) in labels}


def _read_lines(path):
    """Return `(line number, row id, label)` for every line that is not empty."""
    try:
        text = _decode(Path(path).read_bytes())
    except OSError as error:
        raise ValueError(
            "`path` must be a CSV file that can be read. "
            f"Received: path={str(path)!r}, {error.strerror}. "
            "Give the to_label.csv that was filled."
        ) from None
    for separator in ",;\t":
        table = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator))
        while table and (not any(table[0]) or table[0][0].startswith("sep=")):
            table = [[], *table[1:]] if any(table[0]) else table[1:]
        header = [cell.strip().lower() for cell in table[0]] if table else []
        if {"row", "label"} <= set(header):
            break
    else:
        raise ValueError(
            "`path` must be a CSV file with the columns row and label in its first "
            f"line. Received: path={str(path)!r} beginning with {text[:60]!r}. "
            "Save it as CSV, with its first line as it was."
        )
    places = header.index("row"), header.index("label")
    lines = []
    for number, cells in enumerate(table[1:], start=2):
        row_id, label = (cells[p].strip() if p < len(cells) else "" for p in places)
        if any(cell.strip() for cell in cells):
            lines.append((number, row_id, label))
    return lines


def _decode(content):
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16")  # Excel's "Unicode text"
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", "replace")  # Excel's plain "CSV"


def _read_row_ids(path, lines, classes, data_key):
    found: dict = {}
    wrong = []
    for number, row_id, label in lines:
        match = _ROW_ID.fullmatch(row_id.lower())
        row = int(match[1]) if match else -1
        if not match or make_row_id(row, classes, data_key) != row_id.lower():
            wrong.append((number, row_id))
        elif row in found:
            raise ValueError(
                "`path` must hold every row once. "
                f"Received: path={str(path)!r}, where {row_id!r} is in line "
                f"{found[row][0]} and in line {number}. Delete one of them."
            )
        else:
            found[row] = number, label
    if wrong:
        _refuse(path, lines, wrong)
    return found


def _refuse(path, lines, wrong):
    like_ours = [_ROW_ID.fullmatch(row_id.lower()) for _, row_id in wrong]
    if len(wrong) == len(lines) and all(like_ours):
        raise ValueError(
            "`path` must be the file written for these target rows and classes. "
            f"Received: path={str(path)!r}, with the row ids of another one, such as "
            f"{wrong[0][1]!r}. Give the file that this question wrote."
        )
    number, row_id = wrong[0]
    what = f"row id {row_id!r}" if row_id else "no row id"
    raise ValueError(
        "`path` must keep the column row as it was written. "
        f"Received: path={str(path)!r}, with {what} in line {number}"
        f"{f' and {len(wrong) - 1} more like it' if len(wrong) > 1 else ''}. "
        "Copy the ids from the file as it was written."
    )


def _check_asked(path, found, rows):
    asked = {int(row) for row in rows}
    strange = [row for row in found if row not in asked]
    if strange:
        raise ValueError(
            "`path` must hold rows that were asked. "
            f"Received: path={str(path)!r}, with row {strange[0]} in line "
            f"{found[strange[0]][0]}, which was not. "
            "Give the file that this question wrote."
        )


class _LabelReader:
    """Turns what stands in a cell into one of the classes."""

    def __init__(self, path, classes):
        self._path, self._classes = path, list(classes)
        self._exact = {str(name).strip(): name for name in self._classes}
        self._alike: dict = {}
        for name in self._classes:
            self._alike.setdefault(_simplify(str(name)), []).append(name)

    def __call__(self, number, cell):
        if cell in self._exact:
            return self._exact[cell]
        alike = self._alike.get(_simplify(cell), [])
        if len(alike) == 1:
            return alike[0]
        names = [str(name) for name in self._classes]
        shown = ", ".join(map(repr, names[:12])) + (", ..." if names[12:] else "")
        raise ValueError(
            f"`path` must hold labels out of {shown}. "
            f"Received: path={str(self._path)!r}, with label {cell!r} in line "
            f"{number}. Write one of these, or leave the cell empty."
        )


def _simplify(name):
    name = " ".join(name.split()).casefold()
    try:
        return float(name.replace(",", "."))
    except ValueError:
        return name
