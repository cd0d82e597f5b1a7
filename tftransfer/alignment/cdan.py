"""Domain-adversarial training on features together with what they predict."""

import math

import keras
from keras import ops

from tftransfer.alignment.certainty import certainty_weights
from tftransfer.alignment.dann import DANN
from tftransfer.alignment.domain_classifier import (
    build_discriminator,
    domain_loss,
    reverse_gradient,
)

LARGEST_PRODUCT = 4096  # as in the paper; wider ones are projected at random


@keras.saving.register_keras_serializable(package="tftransfer")
class CDAN(DANN):
    """Make features from which, class by class, no network can tell the domain.

    As `DANN`, but the discriminator reads the products of all features with all class
    probabilities: features are aligned together with what they mean. Where that would
    be more than 4,096 numbers, both are projected at random to 4,096 each and
    multiplied. No gradient goes through the probabilities.

    Args:
        weight: Factor of the loss, >= 0.
        discriminator: Keras model from `(batch, min(width * classes, 4096))` to one
            logit, or `None` for two hidden layers of 256.
        steps: As of `DANN`.
        entropy: Whether rows that are decided count for more: each by
            `1 + exp(-entropy)`, mean 1 in each domain ("CDAN+E").

    Raises:
        ValueError: If an argument is not acceptable, or the discriminator does not give
            one logit.
        TypeError: If the discriminator is no Keras model.

    Example:

    >>> tft.CDAN(weight=0.3, entropy=False).entropy
    False

    Reference:
        [Long et al., 2018](https://arxiv.org/abs/1705.10667), equations 4 to 8.
    """

    def __init__(
        self, weight=1.0, discriminator=None, steps=None, entropy=True, **kwargs
    ):
        kwargs.pop("on", None)
        super().__init__(weight, discriminator, steps, on="features", **kwargs)
        self.entropy = bool(entropy)
        self._projections = None

    def build(self, source_shape, target_shape=None):
        """Build discriminator and projections for what they will read."""
        widths = [source_shape[place][-1] for place in ("features", "logits")]
        product = math.prod(widths)
        if product > LARGEST_PRODUCT:
            product = LARGEST_PRODUCT
            self._projections = [
                self.add_weight(
                    shape=(width, product),
                    initializer=keras.initializers.RandomNormal(stddev=1.0, seed=seed),
                    trainable=False,
                    name=f"projection_{seed}",
                )
                for seed, width in enumerate(widths)
            ]
        given = self.discriminator
        self.discriminators = {"both": given or build_discriminator(product)}
        self.built = True

    def measure(self, source, target, features_learn):
        """Return the cross-entropy of the discriminator."""
        factor = self.ramp.step()
        read, weights = [], []
        for domain in (source, target):
            logs = ops.log_softmax(ops.cast(domain["logits"], "float32"), axis=-1)
            logs = ops.stop_gradient(logs)
            features = reverse_gradient(ops.cast(domain["features"], "float32"), factor)
            read.append(self._multiply(features, ops.exp(logs)))
            weights.append(certainty_weights(logs) if self.entropy else None)
        source, target = read
        return domain_loss(self.discriminators["both"], source, target, weights)

    def _multiply(self, features, probabilities):
        if self._projections is None:
            products = features[:, :, None] * probabilities[:, None, :]
            width = features.shape[-1] * probabilities.shape[-1]
            return ops.reshape(products, (-1, width))
        left, right = self._projections
        product = ops.matmul(features, left) * ops.matmul(probabilities, right)
        return product / math.sqrt(LARGEST_PRODUCT)

    def get_config(self):
        """Return the arguments that rebuild this layer."""
        return {**super().get_config(), "entropy": self.entropy}
