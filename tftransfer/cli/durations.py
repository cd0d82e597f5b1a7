"""Times as people write them: 90, 90s, 10m, 2h."""

import argparse
import re

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}
_PATTERN = re.compile(r"(\d+(?:\.\d+)?)([smh]?)")


def read_seconds(text):
    """Return seconds, for the `type` of an argument.

    Example:

    >>> [read_seconds(text) for text in ("90", "1.5m", "2h")]
    [90.0, 90.0, 7200.0]
    """
    found = _PATTERN.fullmatch(text.strip().lower())
    if found is None or not float(found[1]):
        raise argparse.ArgumentTypeError(
            "must be a time above 0 in seconds, or with s, m or h behind it, such as "
            f"10m. Received: {text!r}"
        )
    return float(found[1]) * _UNITS[found[2]]
