"""What every alignment of two domains is: a weighted loss with a place and a metric."""

import keras
from keras import ops

from tftransfer.checks import check_choice, check_number
from tftransfer.regularization.noted_mean import NotedMean

PLACES = ("auto", "features", "logits")


class Alignment(keras.layers.Layer):
    """Base of the losses that pull source and target together.

    A subclass defines `distance(source, target) -> scalar` of what one output makes of
    both domains, or `measure`, which sees features and logits. The model calls the
    layer with what it knows of both domains, adds the returned loss, and shows the
    unweighted distance as `alignment_loss` in the progress bar.

    Args:
        weight: Factor of the loss, >= 0. With 0 the loss is not computed at all.
        on: Which output of the model is aligned. `"features"` (the backbone's) teaches
            the backbone; `"logits"` teaches the head as well; `"auto"` takes the
            features where something below them is trainable and the logits otherwise,
            since features of a frozen backbone cannot move.

    Raises:
        ValueError: If `weight` is negative or `on` is unknown.
        TypeError: If `weight` is no number.

    Example:

    >>> class MeanDistance(tft.Alignment):
    ...     def distance(self, source, target):
    ...         means = [keras.ops.mean(x, axis=0) for x in (source, target)]
    ...         return keras.ops.sum(keras.ops.square(means[0] - means[1]))
    >>> layer = MeanDistance(weight=0.5, on="features")
    >>> source, target = {"features": np.zeros((2, 1))}, {"features": np.ones((3, 1))}
    >>> float(layer(source, target))
    0.5
    """

    def __init__(self, weight=1.0, on="auto", **kwargs):
        # Logits would lose their precision under a mixed policy.
        super().__init__(**{"dtype": "float32", **kwargs})
        check_number("weight", weight, 0.0)
        check_choice("on", on, PLACES)
        self.weight = weight
        self.on = on
        self.tracker = NotedMean(name="alignment_loss")

    def build(self, source_shape, target_shape=None):
        """Make what the layer needs, from dictionaries of shapes."""
        self.built = True

    def distance(self, source, target):
        """Return the distance between two batches `(batch, width)` as a scalar."""
        raise NotImplementedError(f"{type(self).__name__} must define `distance`.")

    def measure(self, source, target, features_learn):
        """Return the unweighted distance, from all that is known of both domains.

        Args:
            source: Dictionary with the source's `"features"` and `"logits"`.
            target: The same of the target.
            features_learn: Whether anything below the features is trainable.
        """
        place = self.on
        if place == "auto":
            place = "features" if features_learn else "logits"
        return self.distance(source[place], target[place])

    def call(self, source, target, features_learn=True):
        """Return the weighted loss.

        Args:
            source: Dictionary with the source's `"features"` and `"logits"`.
            target: The same of the target.
            features_learn: Whether anything below the features is trainable.
        """
        distance = self.measure(source, target, features_learn)
        self.tracker.note(distance)
        return ops.cast(self.weight, distance.dtype) * distance

    @property
    def trackers(self):
        """The metrics that this layer shows in the progress bar."""
        return [self.tracker]

    def get_config(self):
        """Return the arguments that rebuild this layer."""
        return {**super().get_config(), "weight": self.weight, "on": self.on}
