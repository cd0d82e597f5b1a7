"""How many rows a weighting really rests on."""

from tftransfer.weighting.rows import read_weights


def effective_sample_size(weights):
    """Return how many equally weighted rows say as much as these weighted ones.

    Look at it before training with weights: 40 of 5,000 means that a fit with them is
    as unsteady as one on 40 rows.

    Formula:

        (sum w)^2 / sum w^2

    Args:
        weights: Numbers `>= 0` of shape `(n,)`, not all 0.

    Returns:
        A float from 1 to `n`.

    Raises:
        ValueError: If `weights` are not of that kind.

    Example:

    >>> from tftransfer.weighting import effective_sample_size
    >>> effective_sample_size([1.0, 1.0, 1.0, 0.0])
    3.0

    Reference:
        [Kong, 1992](https://galton.uchicago.edu/techreports/tr348.pdf).
    """
    weights = read_weights(weights)
    weights = weights / weights.max()
    return float(weights.sum() ** 2 / (weights**2).sum())
