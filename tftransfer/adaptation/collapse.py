"""Signs that an adaptation has fallen over, seen without labels."""

import numpy as np

MOST_CHANGED = 0.5  # share of calls that differ from the control
_VANISHED = 0.2  # of the control's share of a class
_LEAST_ROWS = 10  # of a class in the control's calls, to miss them


def vanished_classes(control_labels, labels, num_classes):
    """Return classes that the control calls and a candidate hardly does.

    Args:
        control_labels: Whole numbers `(m,)`.
        labels: Whole numbers `(m,)`, of a candidate.
        num_classes: Number of classes.

    Returns:
        List of whole numbers: classes with at least 10 calls of the control and less
        than a fifth of them from the candidate.

    Example:

    >>> from tftransfer.adaptation.collapse import vanished_classes
    >>> vanished_classes(np.repeat([0, 1], 10), np.repeat([0, 0], 10), 2)
    [1]
    """
    before = np.bincount(control_labels, minlength=num_classes)
    after = np.bincount(labels, minlength=num_classes)
    gone = (before >= _LEAST_ROWS) & (after < _VANISHED * before)
    return np.flatnonzero(gone).tolist()


def changed_share(control_labels, labels):
    """Return the share of rows, in 0..1, in which a candidate differs."""
    return float(np.mean(control_labels != labels))


def signs_of_collapse(control_labels, labels, classes):
    """Return what speaks for a collapse, in words.

    Args:
        control_labels: Whole numbers `(m,)`.
        labels: Whole numbers `(m,)`, of a candidate.
        classes: Sequence of class names.

    Returns:
        List of str; empty where nothing does.

    Example:

    >>> from tftransfer.adaptation.collapse import signs_of_collapse
    >>> signs_of_collapse(np.repeat([0, 1], 10), np.repeat([0, 0], 10), ["a", "b"])
    ["class 'b' vanished"]
    """
    gone = vanished_classes(control_labels, labels, len(classes))
    signs = [f"class {_show(classes[number])} vanished" for number in gone]
    changed = changed_share(control_labels, labels)
    if changed > MOST_CHANGED:
        signs.append(f"{changed:.0%} of the control's calls are changed")
    return signs


def _show(name):
    return repr(name.item() if hasattr(name, "item") else name)
