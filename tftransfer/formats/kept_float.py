"""Which layers int8 leaves in float: where it costs little and matters most."""

FIRST = 5  # layers, of those with a kernel
SHARE = 0.01  # of all weights, which is what they may cost in size


def choose_kept(sizes):
    """Choose the layers that stay in float.

    What is lost in the pixels and the first layers is lost for all that follow, and
    the last layer's outputs lie outside the range seen in calibration for the very
    rows that are told apart best. Both have few weights.

    Args:
        sizes: Number of weights of each layer with a kernel, in order.

    Returns:
        Tuple: how many of the first stay, and whether the last does too.

    Example:

    >>> choose_kept([432, 144, 128, 384, 432, 20_000, 300_000, 1_280])
    (5, True)
    >>> choose_kept([50, 50])  # too small a network: nothing
    (0, False)
    """
    left = SHARE * sum(sizes)
    first = 0
    while first < min(FIRST, len(sizes) - 1) and sizes[first] <= left:
        left -= sizes[first]
        first += 1
    return first, len(sizes) > first + 1 and sizes[-1] <= left
