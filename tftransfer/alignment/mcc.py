"""Minimum class confusion: a classifier that does not waver on the target."""

import keras
from keras import ops

from tftransfer.alignment.certainty import certainty_weights
from tftransfer.alignment.layer import Alignment
from tftransfer.checks import check_number


def mcc_loss(logits, temperature=2.5):
    """Measure how much a classifier confuses the classes on a batch.

    Zero where every row belongs to one class for certain. No labels and no second
    domain are needed: add it, computed on target logits, to the loss on the source.

    Formula, for `K` classes, `p = softmax(logits / temperature)`, the entropy `H_i` of
    row i and `w_i = batch * (1 + exp(-H_i)) / sum_j (1 + exp(-H_j))`:

        C[a, b] = sum_i w_i p[i, a] p[i, b]
        loss = sum over a != b of C[a, b] / sum_c C[a, c], divided by K

    Args:
        logits: Float tensor `(batch, K)`.
        temperature: Above 0; it makes confident predictions less sure.

    Returns:
        Scalar tensor, 0 to `1 - 1 / K`.

    Example:

    >>> round(float(mcc_loss(np.array([[50.0, 0.0], [0.0, 50.0]]))), 6)
    0.0
    >>> round(float(mcc_loss(np.zeros((4, 2)))), 6)
    0.5

    Reference:
        [Jin et al., 2020](https://arxiv.org/abs/1912.03699), equations 2 to 6.
    """
    logits = ops.convert_to_tensor(logits)
    if keras.backend.standardize_dtype(logits.dtype) != "float64":
        logits = ops.cast(logits, "float32")
    logs = ops.log_softmax(logits / temperature, axis=-1)
    probabilities = ops.exp(logs)
    weights = certainty_weights(logs)[:, None]  # as in the paper, without gradient
    confusion = ops.matmul(ops.transpose(probabilities * weights), probabilities)
    tiny = keras.config.epsilon()  # a class that no row resembles
    confusion = confusion / (ops.sum(confusion, axis=1, keepdims=True) + tiny)
    count = logits.shape[-1]
    return (ops.sum(confusion) - ops.trace(confusion)) / count


@keras.saving.register_keras_serializable(package="tftransfer")
class MCC(Alignment):
    """Make the classifier decided on the target: minimum class confusion.

    It reads the logits of the target alone, so it also helps where the features of the
    domains differ in what no distance between them shows. Needs the predictions to be
    better than chance from the start, and batches of at least some rows a class.

    Args:
        weight: Factor of the loss, >= 0.
        temperature: See `mcc_loss`.

    Raises:
        ValueError: If `weight` is negative or `temperature` is not above 0.

    Example:

    >>> tft.MCC(weight=1.0).temperature
    2.5

    Reference:
        [Jin et al., 2020](https://arxiv.org/abs/1912.03699).
    """

    def __init__(self, weight=1.0, temperature=2.5, **kwargs):
        kwargs.pop("on", None)
        super().__init__(weight=weight, on="logits", **kwargs)
        check_number("temperature", temperature, 0.0)
        if temperature == 0:
            raise ValueError(
                "`temperature` must be above 0. Received: temperature=0. The paper "
                "takes 2.5."
            )
        self.temperature = temperature

    def distance(self, source, target):
        """Return `mcc_loss(target)`."""
        return mcc_loss(target, self.temperature)

    def get_config(self):
        """Return the arguments that rebuild this layer."""
        return {**super().get_config(), "temperature": self.temperature}
