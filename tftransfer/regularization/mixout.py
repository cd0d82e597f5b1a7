"""Mixout: in each training step some weights are again what they were."""

import keras
from keras import ops

from tftransfer.checks import check_number
from tftransfer.regularization.layer import Regularization


@keras.saving.register_keras_serializable(package="tftransfer")
class Mixout(Regularization):
    """Dropout towards the pretrained weights instead of towards zero.

    In each training step every number of a kernel or an embedding of the backbone is,
    with this probability, replaced by its pretrained value; gradients go to the rest.
    Weights with one axis (biases, scales, offsets) and frozen ones stay as they are,
    and nothing is replaced outside training.

    Formula, with `M` drawn anew in each step, 0 with `probability` and else 1, and `w0`
    the weights the model had when it was built:

        w' = (M * w + (1 - M) * w0 - probability * w0) / (1 - probability)

    so that the mean of `w'` is `w`.

    Args:
        probability: Of being replaced, in 0..1, 1 excluded.
        seed: Seed of the draws, or `None`.

    Raises:
        ValueError: If `probability` is out of range.
        TypeError: If it is no number.

    Example:

    >>> weights, start = keras.Variable(np.ones((2, 2))), np.ones((2, 2))
    >>> ((_, mixed),) = tft.Mixout(0.5, seed=0).replace([(weights, start)])
    >>> np.asarray(mixed).tolist()  # nothing has moved yet
    [[1.0, 1.0], [1.0, 1.0]]

    Reference:
        [Lee et al., 2020](https://arxiv.org/abs/1909.11299), equation 5.
    """

    needs_start = True
    replaces = True

    def __init__(self, probability=0.7, seed=None, **kwargs):
        kwargs.pop("weight", None)
        super().__init__(**kwargs)
        check_number("probability", probability, 0.0, advice="The paper takes 0.7.")
        if probability >= 1:
            raise ValueError(
                "`probability` must be a number from 0 to below 1. Received: "
                f"probability={probability!r}. With 1 nothing would learn: freeze the "
                "backbone instead, with trainable_depth=0."
            )
        self.probability, self.seed = probability, seed
        self._draws = keras.random.SeedGenerator(seed)

    def replace(self, pairs):
        """Return mixed values of the kernels among `pairs`."""
        if not self.probability:
            return []
        return [
            (variable, self._mix(ops.convert_to_tensor(variable), start))
            for variable, start in pairs
            if len(variable.shape) > 1
        ]

    def _mix(self, weights, start):
        start = ops.cast(start, weights.dtype)
        drawn = keras.random.uniform(weights.shape, seed=self._draws)
        mixed = ops.where(drawn < self.probability, start, weights)
        return (mixed - self.probability * start) / (1.0 - self.probability)

    def get_config(self):
        """Return the arguments that rebuild this layer."""
        config = super().get_config()
        del config["weight"]
        return {**config, "probability": self.probability, "seed": self.seed}
