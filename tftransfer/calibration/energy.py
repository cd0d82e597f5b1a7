"""Energy of logits: low where a model knows what it sees."""

import keras
from keras import ops

from tftransfer.checks import check_positive


@keras.saving.register_keras_serializable(package="tftransfer")
class Energy(keras.layers.Layer):
    """Free energy of the logits of each row; higher is stranger.

        classification: E(x) = -T log sum_k exp(z_k(x) / T)
        several labels: E(x) = -T sum_k log(1 + exp(z_k(x) / T))

    Nothing is fitted. Softmax does not see what is added to all logits of a row; the
    energy does, and a row that excites no class much has a high one.

    Args:
        temperature: Float above 0. Not that of calibration: the paper's 1 is best.
        multi_label: Whether each logit is a label of its own.

    Input shape:
        Logits `(batch, num_classes)`, float, before softmax or sigmoid.

    Output shape:
        `(batch,)`, float32.

    Raises:
        ValueError: If `temperature` is not above 0.
        TypeError: If `temperature` is no number.

    Example:

    >>> from tftransfer.calibration.energy import Energy
    >>> rows = Energy()(np.array([[0.0, 0.0], [9.0, 0.0]]))  # -log 2; nearly -9
    >>> [round(float(energy), 3) for energy in rows]
    [-0.693, -9.0]

    Reference:
        [Liu et al., 2020](https://arxiv.org/abs/2010.03759), equation 4; several labels
        as in [Wang et al., 2021](https://arxiv.org/abs/2111.12797), JointEnergy.
    """

    def __init__(self, temperature=1.0, multi_label=False, **kwargs):
        super().__init__(**{"dtype": "float32", "trainable": False, **kwargs})
        check_positive("temperature", temperature)
        self.temperature = temperature
        self.multi_label = multi_label

    def call(self, logits):
        """Return the energy of each row."""
        scaled = logits / self.temperature
        if self.multi_label:
            return -self.temperature * ops.sum(ops.softplus(scaled), axis=-1)
        return -self.temperature * ops.logsumexp(scaled, axis=-1)

    def get_config(self):
        """Return the arguments of the layer."""
        return {
            **super().get_config(),
            "temperature": self.temperature,
            "multi_label": self.multi_label,
        }
