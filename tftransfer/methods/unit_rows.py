"""Rows as directions, whose products are cosines."""

import numpy as np

_SHORTEST = 1e-12  # what is shorter is rounding, and has no direction


def unit_rows(rows):
    """Return rows `(n, width)` divided by their length; a row of zeros stays."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.maximum(lengths, _SHORTEST)
