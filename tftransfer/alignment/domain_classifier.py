"""A network that tells the domains apart, and features that learn to fool it."""

import keras
from keras import ops

from tftransfer.checks import check_whole_number


def reverse_gradient(x, factor):
    """Return `x`, whose gradient comes back times `-factor`.

    Example:

    >>> float(reverse_gradient(np.array(3.0), 2.0))
    3.0

    Reference:
        [Ganin & Lempitsky, 2015](https://arxiv.org/abs/1409.7495), equation 9.
    """
    return (1.0 + factor) * ops.stop_gradient(x) - factor * x


class ReversalRamp(keras.layers.Layer):
    """The factor of the reversed gradient, which rises from 0 to 1 in training.

    A discriminator that knows nothing yet would only bring noise. After a share `p` of
    `steps` steps the factor is `2 / (1 + exp(-10 p)) - 1`.

    Args:
        steps: Training steps until the end of the ramp; `None`: 1 from the start.

    Reference:
        [Ganin et al., 2016](https://arxiv.org/abs/1505.07818), section 5.2.2.
    """

    def __init__(self, steps=None, **kwargs):
        super().__init__(**{"dtype": "float32", **kwargs})
        if steps is not None:
            check_whole_number("steps", steps)
        self.steps = steps
        self.taken = self.add_weight(
            shape=(), initializer="zeros", trainable=False, name="taken"
        )

    def step(self):
        """Return the factor of this step and count it."""
        if self.steps is None:
            return ops.ones(())
        share = ops.minimum(self.taken / self.steps, 1.0)
        factor = 2.0 / (1.0 + ops.exp(-10.0 * share)) - 1.0
        self.taken.assign_add(1.0)
        return factor


def build_discriminator(width, hidden=256):
    """Build the usual discriminator: two hidden layers and one logit.

    Args:
        width: Width of what it reads.
        hidden: Width of the hidden layers.

    Returns:
        Functional `keras.Model`, `(batch, width)` to `(batch, 1)`; above 0: source.
    """
    inputs = x = keras.Input((width,))
    for number in (1, 2):
        x = keras.layers.Dense(hidden, activation="relu", name=f"hidden_{number}")(x)
    return keras.Model(inputs, keras.layers.Dense(1, name="domain")(x))


def check_discriminator(discriminator):
    """Raise unless it is `None` or a Keras model that can give one logit."""
    if discriminator is None:
        return
    if not isinstance(discriminator, keras.Model):
        raise TypeError(
            "`discriminator` must be a keras.Model or None. Received: discriminator="
            f"{discriminator!r} of type {type(discriminator).__name__}. None takes two "
            "hidden layers of 256."
        )
    if not discriminator.built:
        return
    shape = tuple(discriminator.output_shape)
    if shape != (None, 1):
        raise ValueError(
            "`discriminator` must give one logit, shape (batch, 1). Received: output "
            f"shape {shape}. End it in keras.layers.Dense(1)."
        )


def domain_loss(discriminator, source, target, weights=(None, None)):
    """Cross-entropy of the domains, each of which counts one half.

    Args:
        discriminator: Model to one logit, above 0 for the source.
        source: What it reads of the source, `(n, width)`.
        target: The same of the target, `(m, width)`.
        weights: Pair of tensors `(n,)` and `(m,)` with mean 1, or of `None`.

    Returns:
        Scalar tensor; `log(2)` where the domains cannot be told apart.
    """
    size = ops.shape(source)[0]
    logits = discriminator(ops.concatenate([source, target], axis=0))[:, 0]
    logits = ops.cast(logits, "float32")
    losses = [ops.softplus(-logits[:size]), ops.softplus(logits[size:])]
    weighted = [
        loss if weight is None else loss * weight
        for loss, weight in zip(losses, weights, strict=True)
    ]
    return 0.5 * (ops.mean(weighted[0]) + ops.mean(weighted[1]))
