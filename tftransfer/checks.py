"""Argument checks: every message says what was wanted, what came, what to do next."""

import difflib
import math
import numbers
import sys


def nearest(name, choices, count=3):
    """Return up to `count` of `choices` that look most like `name`, best first."""
    by_lower: dict[str, object] = {}
    for choice in choices:
        by_lower.setdefault(str(choice).lower(), choice)
    matches = difflib.get_close_matches(
        str(name).lower(), by_lower, n=count, cutoff=0.5
    )
    return [by_lower[match] for match in matches]


def did_you_mean(name, choices):
    """Return `"Did you mean 'a' or 'b'?"`, or an empty string if nothing is near."""
    matches = nearest(name, choices)
    return f"Did you mean {' or '.join(map(repr, matches))}?" if matches else ""


def check_choice(name, value, choices, advice=""):
    """Raise `ValueError` unless `value` is one of `choices`."""
    if value not in list(choices):  # a list, as a set would choke on unhashable values
        hint = " ".join(filter(None, [did_you_mean(value, choices), advice]))
        raise ValueError(
            f"`{name}` must be one of {sorted(choices, key=str)}. "
            f"Received: {name}={value!r}. {hint}".rstrip()
        )


def check_whole_number(name, value, minimum=1, advice=""):
    """Raise unless `value` is an `int` (no `bool`) of at least `minimum`."""
    # NumPy's integers would pass here and be refused, or not be saved, by Keras later.
    if isinstance(value, bool) or not isinstance(value, int):
        advice = f"Pass {name}={int(value)}." if _is_whole(value) else advice
        raise TypeError(
            f"`{name}` must be a whole number >= {minimum}. "
            f"Received: {name}={value!r} of type {type(value).__name__}. "
            f"{advice}".rstrip()
        )
    if value < minimum:
        raise ValueError(
            f"`{name}` must be a whole number >= {minimum}. "
            f"Received: {name}={value!r}. {advice}".rstrip()
        )


def check_number(name, value, minimum=None, maximum=None, advice=""):
    """Raise unless `value` is a finite real number within the closed bounds."""
    bounds = [
        f">= {minimum}" if minimum is not None else "",
        f"<= {maximum}" if maximum is not None else "",
    ]
    wanted = f"a finite number {' and '.join(filter(None, bounds))}".rstrip()

    def is_inside(value):
        return (minimum is None or value >= minimum) and (
            maximum is None or value <= maximum
        )

    _check_real(name, value, wanted, is_inside, advice)


def check_positive(name, value, advice=""):
    """Raise unless `value` is a finite real number above 0."""
    wanted = "a finite number above 0"
    _check_real(name, value, wanted, lambda value: value > 0, advice)


def _check_real(name, value, wanted, is_inside, advice):
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(
            f"`{name}` must be {wanted}. Received: {name}={value!r} of "
            f"type {type(value).__name__}. {advice}".rstrip()
        )
    if not is_inside(value) or not math.isfinite(value):
        raise ValueError(
            f"`{name}` must be {wanted}. Received: {name}={value!r}. {advice}".rstrip()
        )


def check_image_size(name, value):
    """Return `value` as `(height, width)`; an `int` means a square."""
    wanted = f"`{name}` must be (height, width) in pixels, two whole numbers >= 1"
    try:
        height, width = (value, value) if _is_whole(value) else value
    except (TypeError, ValueError):
        raise ValueError(
            f"{wanted}. Received: {name}={value!r}. Pass for example {name}=(224, 224)."
        ) from None
    for side in (height, width):
        if not _is_whole(side) or side < 1:
            raise ValueError(
                f"{wanted}. Received: {name}={value!r}. "
                f"Pass for example {name}=(224, 224)."
            )
    return (int(height), int(width))


def check_same_width(source, target):
    """Raise `ValueError` unless two feature batches are 2-D and equally wide."""
    shapes = tuple(source.shape), tuple(target.shape)
    if any(len(shape) != 2 for shape in shapes) or shapes[0][1] != shapes[1][1]:
        raise ValueError(
            "`source` and `target` must have shapes (batch, features) with the "
            "same number of features. "
            f"Received: source.shape={shapes[0]}, target.shape={shapes[1]}. "
            "Pool the backbone output and take both batches from the same layer."
        )


def import_optional(*names, needs, extra):
    """Import modules that not every installation has.

    Args:
        *names: Of the modules, in full.
        needs: What needs which package: the first words of the message.
        extra: Of the `tftransfer[extra]` that brings the package.

    Returns:
        List of modules.

    Raises:
        ImportError: If one is missing; the message gives the pip line.
    """
    try:
        for name in names:
            __import__(name)  # asks for the package too, not for its part alone
        return [sys.modules[name] for name in names]
    except ImportError as error:
        raise ImportError(
            f'{needs}. Run `pip install "tftransfer[{extra}]"`.'
        ) from error


def _is_whole(value):
    # NumPy's integers count too; True and False do not.
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)
