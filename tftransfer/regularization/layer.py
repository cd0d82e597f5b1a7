"""What holds a network near its pretrained weights: a penalty, or other weights."""

import dataclasses

import keras

from tftransfer.checks import check_number
from tftransfer.regularization.noted_mean import NotedMean


@dataclasses.dataclass
class TrainingPass:
    """What a pass over one training batch shows to a `Regularization`.

    Attributes:
        backbone: List of `(variable, start)`: the backbone's weights that learn, and
            what each was before training.
        head: List of the head's variables that learn.
        features: Pooled features `(rows, width)`, where some regularization asks for
            them and the backbone learns, else `None`.
        maps: Dict from the name of a layer to its output now and its output with the
            pretrained weights, both `(rows, ..., channels)`.
    """

    backbone: list = dataclasses.field(default_factory=list)
    head: list = dataclasses.field(default_factory=list)
    features: object = None
    maps: dict = dataclasses.field(default_factory=dict)


class Regularization(keras.layers.Layer):
    """Base of what keeps fine-tuning near the pretrained network.

    A subclass defines `penalty(made) -> scalar` of a `TrainingPass`, which is added to
    the loss in training, not in evaluation, and shown in the progress bar under the
    name of the class in small letters; or `replace`, which gives other weights for the
    pass.

    Args:
        weight: Factor of the penalty, >= 0. With 0 nothing is computed.

    Raises:
        ValueError: If `weight` is negative.
        TypeError: If it is no number.

    Example:

    >>> class HeadL1(tft.Regularization):
    ...     def penalty(self, made):
    ...         return self.weight * sum(keras.ops.sum(abs(x)) for x in made.head)
    >>> HeadL1(0.1).tracker.name
    'headl1'
    """

    needs_start = False  # the weights before training are kept for it
    needs_features = False
    replaces = False  # weights of the model, for a while

    def __init__(self, weight=1.0, **kwargs):
        # A sum of thousands of squares would lose its digits under a mixed policy.
        super().__init__(**{"dtype": "float32", **kwargs})
        check_number("weight", weight, 0.0)
        self.weight = weight
        adds = type(self).penalty is not Regularization.penalty
        self.tracker = NotedMean(name=type(self).__name__.lower()) if adds else None
        self.built = True

    def map_names(self, model):
        """Return the names of layers whose outputs it compares.

        Args:
            model: The plain functional model.
        """
        return ()

    def replace(self, pairs):
        """Return the values that take the place of weights in a training pass.

        Args:
            pairs: List of `(variable, start)`, the backbone's weights that learn.

        Returns:
            List of `(variable, tensor)`.
        """
        return []

    def penalty(self, made):
        """Return the penalty as it is added to the loss, `None` where there is none.

        Args:
            made: `TrainingPass`.
        """
        return None

    def get_config(self):
        """Return the arguments that rebuild this layer."""
        return {**super().get_config(), "weight": self.weight}
