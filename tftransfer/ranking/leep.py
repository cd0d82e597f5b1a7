"""LEEP: the likelihood of the labels, guessed from the source's class probabilities."""

import numpy as np

from tftransfer.methods.softmax_regression import one_hot
from tftransfer.ranking.inputs import read_classes
from tftransfer.validation.score_inputs import read_score_rows


def leep(source_probabilities, labels):
    """Mean log-likelihood of the labels by way of the source classes; higher is better.

    Formula, with the probability `p(z | x)` of source class `z`:

        P(y | z) = sum over rows with label y of p(z | x) / sum over all rows
        LEEP = mean over rows of log sum_z P(y | z) p(z | x),  in nats

    Args:
        source_probabilities: Float array `(n, num_source_classes)`, rows with sum 1:
            what the network, with the head it was pretrained with, says of each row.
        labels: Whole numbers `(n,)` of two classes or more.

    Returns:
        A float, at most 0.

    Raises:
        ValueError: If an argument is not of the kind above.

    Example:

    >>> sure = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    >>> round(tft.ranking.leep(sure, np.array([0, 1, 2, 2])), 4)  # -log(2) / 2
    -0.3466

    Reference:
        [Nguyen et al., 2020](https://arxiv.org/abs/2002.12462).
    """
    given = read_score_rows("source_probabilities", source_probabilities, fewest=2)
    classes, num_classes = read_classes(labels, len(given))
    joint = one_hot(classes, num_classes).T @ given
    of_source = joint.sum(axis=0)
    seen = of_source > 0  # a source class of probability 0 says nothing
    guessed = given[:, seen] @ (joint[:, seen] / of_source[seen]).T
    return float(np.log(guessed[np.arange(len(given)), classes]).mean())
