"""Domain-adversarial training on features, or on what is predicted from them."""

import keras
from keras import ops

from tftransfer.alignment.domain_classifier import (
    ReversalRamp,
    build_discriminator,
    check_discriminator,
    domain_loss,
    reverse_gradient,
)
from tftransfer.alignment.layer import Alignment


@keras.saving.register_keras_serializable(package="tftransfer")
class DANN(Alignment):
    """Make features from which no network can tell the domain.

    A discriminator learns to tell source from target; its gradient reaches the
    features reversed. Both learn in the same step of plain `fit`, with the model's
    optimizer. `alignment_loss` is the discriminator's cross-entropy: `log 2 = 0.693`
    where it cannot tell the domains apart.

    Args:
        weight: Factor of the loss, >= 0.
        discriminator: Keras model from features `(batch, width)` to one logit, or
            `None` for two hidden layers of 256.
        steps: Steps over which the reversed gradient rises from 0 to its whole, as
            `2 / (1 + exp(-10 p)) - 1`; `None`: whole from the start.
        on: Where to align, see `Alignment`. A `discriminator` of your own stands on one
            place: with `"auto"` on the features.

    Raises:
        ValueError: If an argument is not acceptable, or the discriminator does not give
            one logit.
        TypeError: If the discriminator is no Keras model.

    Example:

    >>> tft.DANN(weight=0.3, steps=1000).steps
    1000

    Reference:
        [Ganin et al., 2016](https://arxiv.org/abs/1505.07818).
    """

    def __init__(self, weight=1.0, discriminator=None, steps=None, on="auto", **kwargs):
        super().__init__(weight=weight, on=on, **kwargs)
        check_discriminator(discriminator)
        self.ramp = ReversalRamp(steps)
        self.discriminator = discriminator
        self.discriminators = {}

    @property
    def steps(self):
        """Steps of the ramp."""
        return self.ramp.steps

    def build(self, source_shape, target_shape=None):
        """Build a discriminator for each place where the domains may be aligned."""
        places = ("features", "logits") if self.on == "auto" else (self.on,)
        if self.discriminator is not None:
            self.discriminators = {places[0]: self.discriminator}
        else:
            self.discriminators = {
                place: build_discriminator(source_shape[place][-1]) for place in places
            }
        self.built = True

    def measure(self, source, target, features_learn):
        """Return the cross-entropy of the discriminator."""
        place = "features" if features_learn else "logits"
        if place not in self.discriminators:
            (place,) = self.discriminators
        factor = self.ramp.step()
        both = (reverse_gradient(x[place], factor) for x in (source, target))
        loss = domain_loss(self.discriminators[place], *both)
        # The other one has gradients of zero, where none at all would be a warning.
        others = [x for key, x in self.discriminators.items() if key != place]
        idle = [ops.sum(x) for other in others for x in other.trainable_variables]
        return loss + 0.0 * sum(idle)

    def get_config(self):
        """Return the arguments that rebuild this layer."""
        given = self.discriminator
        return {
            **super().get_config(),
            "discriminator": given and keras.saving.serialize_keras_object(given),
            "steps": self.steps,
        }

    @classmethod
    def from_config(cls, config):
        """Rebuild the layer from `get_config`."""
        given = config["discriminator"]
        if given is not None:
            given = keras.saving.deserialize_keras_object(given)
        return cls(**{**config, "discriminator": given})
