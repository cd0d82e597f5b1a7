"""What else a user should know about the target, said in plain words."""

import numpy as np

_LEAST_CHANGE = 0.1  # of a class's share, to be told
_FEW = 0.2  # of the source's share, below which a class may be missing
_FEW_ROWS = 100  # target rows, below which decisions are shaky


def describe_troubles(source_labels, labels, classes):
    """Return lines on class shares that differ, missing classes and few rows.

    What the target's shares are is only predicted; a wrong model and a real change of
    shares look alike without labels, and the lines say so.

    Args:
        source_labels: Whole numbers `(n,)`.
        labels: Whole numbers `(m,)`, chosen for the target.
        classes: Sequence of class names.

    Returns:
        List of str.

    Example:

    >>> from tftransfer.adaptation.troubles import describe_troubles
    >>> for line in describe_troubles(np.arange(200) % 2, np.zeros(200, int), "ab"):
    ...     print(line)
    class shares seem to differ: 'a' 50 % of the source, 100 % of the target as ...
    may be missing in the target: 'b' (or the model does not find it there)
    """
    num_classes = len(classes)
    before = np.bincount(source_labels, minlength=num_classes) / len(source_labels)
    after = np.bincount(labels, minlength=num_classes) / len(labels)
    names = [repr(name.item() if hasattr(name, "item") else name) for name in classes]
    expected = before * len(labels)
    missing = (after < _FEW * before) & (expected >= 5)
    moved = (np.abs(after - before) >= _LEAST_CHANGE) & ~missing
    lines = []
    if moved.any():
        parts = [
            f"{names[place]} {before[place]:.0%} of the source, {after[place]:.0%} of "
            "the target as predicted".replace("%", " %")
            for place in np.flatnonzero(moved)
        ]
        lines.append(f"class shares seem to differ: {'; '.join(parts)}")
    if missing.any():
        gone = ", ".join(names[place] for place in np.flatnonzero(missing))
        lines.append(
            f"may be missing in the target: {gone} "
            "(or the model does not find it there)"
        )
    if len(labels) < _FEW_ROWS:
        lines.append(
            f"only {len(labels)} target rows: whether to adapt is decided on little"
        )
    return lines
