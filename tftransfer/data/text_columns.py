"""Texts out of the columns of a table."""

from tftransfer.data.texts import find_texts, join_texts, warn_of_encoding

# As programs write a missing value; other spellings may well be a text.
MISSING = {"nan", "NaN", "<NA>", "None", "NULL", "null"}


def read_texts(rows, columns, on_corrupt):
    """Read the text of each row.

    Args:
        rows: Dictionary, line number to a dictionary of column name to cell.
        columns: List of `str`. One alone is taken to the letter, several are joined
            with blanks.
        on_corrupt: `"error"` refuses rows without a text, `"skip"` leaves them out.

    Returns:
        List of `bytes`, one per row, and int64 array of the indices of usable ones.

    Raises:
        ValueError: If a row has no text, or a column holds nothing but numbers.

    Example:

    >>> rows = {2: {"title": "Fine", "text": "Works."}, 3: {"title": "", "text": "Ok"}}
    >>> read_texts(rows, ["title", "text"], "error")
    ([b'Fine Works.', b'Ok'], array([0, 1]))
    """
    for column in columns:
        _check_no_numbers(rows, column)
    cells = [[row[column] for column in columns] for row in rows.values()]
    names = [f"row {line}" for line in rows]
    usable = find_texts(
        [_reason(parts) for parts in cells],
        names,
        wanted=f"Column(s) {columns} must hold a text in every row",
        on_corrupt=on_corrupt,
    )
    texts = [b""] * len(cells)
    for i in usable:
        texts[i] = _encode(_join(cells[i]))
    warn_of_encoding([texts[i] for i in usable], [names[i] for i in usable])
    return texts, usable


def _encode(text):
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half an emoji, as JSON can write it
        return text.encode("utf-8", "surrogatepass")


def _check_no_numbers(rows, column):
    cells = [row[column] for row in rows.values()]
    if all(_is_number(cell) for cell in cells):
        columns = list(next(iter(rows.values())))
        raise ValueError(
            f"`text_column` must name texts, out of {columns}. "
            f"Received: {column!r}, which holds numbers in every row, such as "
            f"{cells[0]!r}."
        )


def _is_number(cell):
    if cell is None or isinstance(cell, bool):
        return False
    try:
        float(cell)
    except (TypeError, ValueError):
        return False
    return True


def _reason(parts):
    other = [part for part in parts if not isinstance(part, (str, type(None)))]
    if other:
        return f"{other[0]!r}, which is no string"
    if any(map(_is_filled, parts)):
        return None
    written = [part for part in parts if part and part.strip()]
    return f"{written[0]!r}, a missing value" if written else "empty"


def _is_filled(part):
    return part is not None and part.strip() not in ({""} | MISSING)


def _join(parts):
    if len(parts) == 1:
        return parts[0]
    return join_texts(part for part in parts if _is_filled(part))
