"""One gradient, on every Keras backend."""

import keras
from keras import ops


def gradient_of_sum(function, point):
    """Differentiate the sum of a function's values.

    Args:
        function: Function of one tensor, of Keras operations.
        point: Float tensor.

    Returns:
        Tensor of the shape of `point`.

    Example:

    >>> from tftransfer.explanation.gradients import gradient_of_sum
    >>> gradient_of_sum(lambda x: x * x, np.array([1.0, 3.0])).numpy().tolist()
    [2.0, 6.0]
    """
    point = ops.convert_to_tensor(point)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(point)
            total = ops.sum(function(point))
        return tape.gradient(
            total, point, unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
    if keras.backend.backend() == "jax":
        import jax

        return jax.grad(lambda x: ops.sum(function(x)))(point)
    import torch

    with torch.enable_grad():
        point = point.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(ops.sum(function(point)), point)
    return gradient
