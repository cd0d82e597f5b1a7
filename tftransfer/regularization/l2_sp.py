"""L2-SP: weights pay for the distance from where they started."""

import keras
from keras import ops

from tftransfer.checks import check_number
from tftransfer.regularization.layer import Regularization


@keras.saving.register_keras_serializable(package="tftransfer")
class L2SP(Regularization):
    """Pull the backbone to its pretrained weights and the head to zero.

    Plain weight decay pulls everything to zero, away from what was learned before.

    Formula, over the weights that learn (frozen ones have nothing to pay), `w0` being
    those the model had when it was built:

        weight / 2 * ||w_backbone - w0||^2 + head_weight / 2 * ||w_head||^2

    Args:
        weight: Factor of the backbone's distance, >= 0; the paper tries 1e-4 to 1.
        head_weight: Factor of the head's norm, >= 0.

    Raises:
        ValueError: If a factor is negative.
        TypeError: If one is no number.

    Example:

    >>> from tftransfer.regularization.layer import TrainingPass
    >>> made = TrainingPass([(keras.Variable([3.0, 4.0]), [3.0, 2.0])])
    >>> float(tft.L2SP(0.5).penalty(made))  # 0.5 / 2 * 2^2
    1.0

    Reference:
        [Li et al., 2018](https://arxiv.org/abs/1802.01483), equation 3.
    """

    needs_start = True

    def __init__(self, weight=0.1, head_weight=0.01, **kwargs):
        super().__init__(weight, **kwargs)
        check_number("head_weight", head_weight, 0.0)
        self.head_weight = head_weight

    def penalty(self, made):
        """Return the penalty of a `TrainingPass`."""
        distances = [_square(variable - start) for variable, start in made.backbone]
        norms = [_square(variable) for variable in made.head]
        return 0.5 * (self.weight * sum(distances) + self.head_weight * sum(norms))

    def get_config(self):
        """Return the arguments that rebuild this layer."""
        return {**super().get_config(), "head_weight": self.head_weight}


def _square(x):
    return ops.sum(ops.square(ops.cast(x, "float32")))
