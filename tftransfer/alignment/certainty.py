"""Weights of rows by how sure a classifier is of them."""

from keras import ops


def certainty_weights(logs):
    """Weigh rows the more the more certain their predictions are.

    Formula, with the entropy `H_i` of row i:

        w_i = batch * (1 + exp(-H_i)) / sum_j (1 + exp(-H_j))

    No gradient goes through them.

    Args:
        logs: Float tensor `(batch, K)`, logarithms of probabilities.

    Returns:
        Tensor `(batch,)` with mean 1.

    Example:

    >>> from tftransfer.alignment.certainty import certainty_weights
    >>> weights = certainty_weights(np.log([[0.5, 0.5], [1.0, 1e-9]]))
    >>> np.round(weights, 2).tolist()
    [0.86, 1.14]

    Reference:
        [Long et al., 2018](https://arxiv.org/abs/1705.10667), section 3.3.
    """
    logs = ops.convert_to_tensor(logs)
    certainty = 1.0 + ops.exp(ops.sum(ops.exp(logs) * logs, axis=-1))
    size = ops.cast(ops.shape(logs)[0], logs.dtype)
    return ops.stop_gradient(size * certainty / ops.sum(certainty))
