"""Cells set in columns, the one way every printed table is laid out."""


def align_columns(rows, left=1, right=None):
    """Join cells to lines of equal width.

    Args:
        rows: List of equally long lists of str.
        left: Number of columns, from the first on, that are not set to the right.
        right: Instead of `left`, one bool for each column: whether it is set to the
            right.

    Returns:
        List of str, without spaces at the end.

    Example:

    >>> align_columns([["a", "1"], ["bcd", "10"]])
    ['a     1', 'bcd  10']
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    if right is None:
        right = [place >= left for place in range(len(widths))]
    return [
        "  ".join(
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in rows
    ]
