"""Adam on a few arrays, with a rate that falls to zero."""

import numpy as np

_DECAY, _SQUARE_DECAY, _EPSILON = 0.9, 0.999, 1e-8


def minimize_by_adam(slopes, parameters, *, rate, steps):
    """Take steps of Adam, the rate falling linearly from `rate` to zero.

    Args:
        slopes: Function from step number and list of arrays to the list of gradients.
        parameters: List of float arrays to start from; left as they are.
        rate: Size of the first step.
        steps: Number of steps.

    Returns:
        List of arrays.

    Reference:
        [Kingma & Ba, 2015](https://arxiv.org/abs/1412.6980), algorithm 1.
    """
    parameters = [np.array(value, float) for value in parameters]
    means = [np.zeros_like(value) for value in parameters]
    squares = [np.zeros_like(value) for value in parameters]
    for step in range(steps):
        now = rate * (1 - step / steps)
        gradients = slopes(step, parameters)
        for value, mean, square, gradient in zip(
            parameters, means, squares, gradients, strict=True
        ):
            mean += (1 - _DECAY) * (gradient - mean)
            square += (1 - _SQUARE_DECAY) * (gradient**2 - square)
            first = mean / (1 - _DECAY ** (step + 1))
            second = square / (1 - _SQUARE_DECAY ** (step + 1))
            value -= now * first / (np.sqrt(second) + _EPSILON)
    return parameters
