"""Several alignments of the same two domains, added."""

import keras

from tftransfer.alignment.layer import Alignment


@keras.saving.register_keras_serializable(package="tftransfer")
class SeveralAlignments(Alignment):
    """The sum of weighted alignments: `alignment=[CORAL(0.5), MCC(1.0)]`.

    `alignment_loss` is the weighted sum; each part shows its own distance, under the
    name of its class.

    Args:
        alignments: List of `Alignment` layers.

    Raises:
        ValueError: If the list is empty.
        TypeError: If it holds something else.

    Example:

    >>> both = SeveralAlignments([tft.CORAL(0.5), tft.MCC(1.0)])
    >>> [tracker.name for tracker in both.trackers]
    ['alignment_loss', 'coral', 'mcc']
    """

    def __init__(self, alignments, **kwargs):
        kwargs.pop("weight", None)
        kwargs.pop("on", None)
        super().__init__(**kwargs)
        if not isinstance(alignments, (list, tuple)) or not alignments:
            raise ValueError(
                "`alignments` must be a list of at least one Alignment. Received: "
                f"alignments={alignments!r}. Pass for example [tft.CORAL(0.5)]."
            )
        for part in alignments:
            if not isinstance(part, Alignment):
                raise TypeError(
                    "`alignments` must hold Alignment layers. Received: "
                    f"{part!r} of type {type(part).__name__}. Pass for example "
                    "[tft.CORAL(0.5), tft.MCC(1.0)]."
                )
        self.alignments = list(alignments)
        self.weight = float(any(part.weight for part in alignments))
        names = [type(part).__name__.lower() for part in self.alignments]
        for number, (part, name) in enumerate(zip(self.alignments, names, strict=True)):
            earlier = names[:number].count(name)
            part.tracker.name = f"{name}_{earlier + 1}" if earlier else name

    @property
    def trackers(self):
        """The metrics that this layer shows in the progress bar."""
        return [self.tracker, *(part.tracker for part in self.alignments)]

    def build(self, source_shape, target_shape=None):
        """Build every part."""
        for part in self.alignments:
            if not part.built:
                part.build(source_shape, target_shape)
        self.built = True

    def measure(self, source, target, features_learn):
        """Return the weighted sum."""
        losses = [
            part(source, target, features_learn=features_learn)
            for part in self.alignments
            if part.weight
        ]
        return sum(losses)

    def get_config(self):
        """Return the arguments that rebuild this layer."""
        serialize = keras.saving.serialize_keras_object
        return {
            "name": self.name,
            "alignments": [serialize(part) for part in self.alignments],
        }

    @classmethod
    def from_config(cls, config):
        """Rebuild the layer from `get_config`."""
        load = keras.saving.deserialize_keras_object
        return cls([load(part) for part in config["alignments"]], name=config["name"])
