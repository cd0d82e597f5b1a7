"""Negative conditional entropy: what the source's classes tell of the target's."""

import numpy as np

from tftransfer.ranking.inputs import read_classes
from tftransfer.weighting.rows import read_labels


def nce(source_labels, labels):
    """Minus the entropy of the labels once the source class is known; higher is better.

    Formula, over the pairs of source class `z` and label `y`, by their shares of rows:

        NCE = sum_{y, z} P(y, z) log(P(y, z) / P(z)),  in nats

    Args:
        source_labels: Whole numbers `(n,)`: the class, among those it was pretrained
            on, that the network takes each row for; `probabilities.argmax(axis=1)`.
        labels: Whole numbers `(n,)` of two classes or more.

    Returns:
        A float from `-log(num_classes)` to 0, where the source class tells the label.

    Raises:
        ValueError: If an argument is not of the kind above.

    Example:

    >>> round(tft.ranking.nce([7, 7, 9, 9], [0, 1, 2, 2]), 4)  # -log(2) / 2
    -0.3466

    Reference:
        [Tran et al., 2019](https://arxiv.org/abs/1908.08142).
    """
    classes, num_classes = read_classes(labels, np.size(labels))
    source = read_labels("source_labels", source_labels, len(classes))
    pairs = np.unique(source * num_classes + classes, return_counts=True)[1]
    known = np.unique(source, return_counts=True)[1]
    total = (pairs * np.log(pairs)).sum() - (known * np.log(known)).sum()
    return float(total / len(classes))
