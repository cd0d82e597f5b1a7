"""What else a user should know about the target, said in plain words."""

import numpy as np

_LEAST_CHANGE = 0.1  # of a class's share, to be told
_FEW = 0.2  # of the source's share, below which a class may be missing
_FEW_ROWS = 100  # target rows, below which decisions are shaky
_MANY_STRANGERS = 0.1  # of the target rows
_NEAR_CHANCE = 0.1  # of the way from chance to always right


def describe_shares(source_counts, labels, classes):
    """Return lines on class shares that differ, and on missing classes.

    What the target's shares are is only predicted; a wrong model and a real change of
    shares look alike without labels, and the lines say so.

    Args:
        source_counts: Whole numbers `(num_classes,)`: source rows of each class.
        labels: Whole numbers `(m,)`, chosen for the target.
        classes: Sequence of class names.

    Returns:
        List of str.

    Example:

    >>> from tftransfer.adaptation.troubles import describe_shares
    >>> for line in describe_shares(np.array([100, 100]), np.zeros(200, int), "ab"):
    ...     print(line)
    class shares seem to differ: 'a' 50 % of the source, 100 % of the target as ...
    may be missing in the target: 'b' (or the model does not find it there)
    """
    before = np.asarray(source_counts) / np.sum(source_counts)
    after = np.bincount(labels, minlength=len(before)) / len(labels)
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
    return lines


def describe_target(num_rows, strangers, estimate, num_classes):
    """Return lines on few rows, rows that fit no class, and calls near chance.

    Args:
        num_rows: Number of target rows.
        strangers: Of `share_of_strangers`.
        estimate: `Estimate` of the control's accuracy on the target.
        num_classes: Number of classes.

    Returns:
        List of str.

    Example:

    >>> from tftransfer.adaptation.estimate import Estimate
    >>> from tftransfer.adaptation.troubles import describe_target
    >>> describe_target(60, 0.0, Estimate(0.9, 0.8, 1.0), 2)
    ['only 60 target rows: whether to adapt is decided on little']
    """
    lines = []
    if num_rows < _FEW_ROWS:
        lines.append(
            f"only {num_rows} target rows: whether to adapt is decided on little"
        )
    if strangers >= _MANY_STRANGERS:
        lines.append(
            f"{100 * strangers:.0f} % of the target rows fit no class: they lie farther"
            " from the source than 99 % of its own held-out rows. There may be classes "
            "that the source does not have, or the shift itself is that large"
        )
    chance = 1 / num_classes
    if estimate.value < chance + _NEAR_CHANCE * (1 - chance):
        lines.append(
            "the control seems to be hardly better than chance on the target "
            f"({100 * estimate.value:.0f} % with {num_classes} classes, estimated): "
            "label some of its rows"
        )
    return lines
