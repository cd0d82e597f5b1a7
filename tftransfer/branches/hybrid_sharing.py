"""Two domains through one network: layers fixed, shared, and each domain's own."""

import keras
from keras import ops

from tftransfer.branches.rewiring import check_flat, rewire
from tftransfer.distribution.scope import check_single
from tftransfer.freezing.blocks import split_model
from tftransfer.freezing.depth import check_depth, open_layers
from tftransfer.freezing.flags import has_adapters, set_own_flag


@keras.saving.register_keras_serializable(package="tftransfer")
class HybridSharing(keras.Model):
    """A transfer model that learns from two labeled domains, partly apart.

    The last blocks and the head exist twice, one copy for each domain, and learn from
    that domain alone; the blocks below are shared and learn from both, as far down as
    `trainable_depth` opens them; what lies below stays fixed. So a scarce target gets
    general features from the plentiful source, and its own last layers.

    `fit` takes what `pair_labeled_domains` makes; `evaluate` and `predict` take one
    input, the target's. Metrics during training are of both domains together. The
    model is compiled as the given one. Set the depth of this model, not of `.model`.

    Args:
        model: Flat functional model, as `build_transfer_model` makes it without
            alignment. It is the target's, at hand as `.model`, and learns in place.
        private_depth: How much each domain has for itself, counted from the output as
            `trainable_depth`: 0 is the head alone.

    Attributes:
        source_model: The functional model of the source domain.

    Raises:
        ValueError: If the model is nested, there are fewer blocks, or the model has
            copies on several devices.
        TypeError: If an argument has the wrong type.

    Example:

    >>> model = keras.Sequential(
    ...     [
    ...         keras.Input((4,)),
    ...         keras.layers.Dense(8, name="block1"),
    ...         keras.layers.Dense(8, name="block2"),
    ...         keras.layers.Activation("relu", name="features"),
    ...         keras.layers.Dense(3, name="logits"),
    ...     ]
    ... )
    >>> shared = tft.HybridSharing(model, private_depth=1)
    >>> names = [layer.name for layer in shared.source_model.layers]
    >>> [name for name in names if name.endswith("_source")]
    ['block2_source', 'features_source', 'logits_source']

    Reference:
        Layers shared and private in
        [Bousmalis et al., 2016](https://arxiv.org/abs/1608.06019), figure 1.
    """

    def __init__(self, model, private_depth=1, **kwargs):
        check_flat(model, "Build it without alignment.")
        check_depth(model, private_depth)
        check_single(model, "HybridSharing")
        policy = {"dtype": model.dtype_policy, "autocast": False}
        super().__init__(**{**policy, **kwargs})
        self.model, self.private_depth = model, private_depth
        self.source_model, self._copies = _copy_top(model, private_depth)
        self.follow_flags()
        self.built = True
        if model.compiled:
            # Keras builds it when it loads a file and then misses its state.
            model.optimizer.build(model.trainable_variables)
            self.compile_from_config(model.get_compile_config())

    @property
    def output_shape(self):
        """Shape of the target's logits."""
        return self.model.output_shape

    @property
    def input_shape(self):
        """Shape of one domain's inputs."""
        return self.model.input_shape

    @property
    def obstacle_to_cutting(self):
        """Why frozen features are not stored."""
        return "rows of two labeled domains come in pairs"

    def follow_flags(self):
        """Let the source's own layers learn what the target's own layers learn."""
        for original, copy in self._copies:
            layers = zip(
                original._flatten_layers(), copy._flatten_layers(), strict=True
            )
            for layer, follower in layers:
                set_own_flag(follower, layer.trainable)
            for variable, follower in zip(original.weights, copy.weights, strict=True):
                follower.trainable = variable.trainable

    def call(self, inputs, training=None):
        """Return the logits of one input, or those of a pair one after the other."""
        if not isinstance(inputs, (list, tuple)):
            return self.model(inputs, training=training)
        source, target = inputs
        logits = self.source_model(source, training=training)
        return ops.concatenate([logits, self.model(target, training=training)], axis=0)

    def get_config(self):
        """Return the arguments that rebuild this model."""
        serialize = keras.saving.serialize_keras_object
        return {
            "model": serialize(self.model),
            "private_depth": self.private_depth,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Rebuild the model from `get_config`."""
        model = keras.saving.deserialize_keras_object(config["model"], custom_objects)
        return cls(model, config["private_depth"], name=config["name"])


def _copy_top(model, depth):
    """The same model with layers of its own from `depth` up, of equal weights.

    Returns:
        The model, and a list of pairs: a layer of `model`, and its copy.
    """
    private = {id(layer) for layer in open_layers(model, depth)}
    private |= {id(layer) for layer in split_model(model)[1]}
    for layer in model.layers:
        if id(layer) in private and has_adapters(layer):
            raise ValueError(
                "`model` must have no adapters in the blocks that each domain has for "
                f"itself. Received: adapters in {layer.name!r}. Give it the plain "
                "model, which merge_lora(model) makes of one with LoRA."
            )
    copies: dict = {}

    def replace(layer):
        if id(layer) not in private:
            return layer
        if id(layer) not in copies:
            config = {**layer.get_config(), "name": f"{layer.name}_source"}
            copies[id(layer)] = layer, type(layer).from_config(config)
        return copies[id(layer)][1]

    copied = rewire(model, replace=replace)
    copied = keras.Model(copied.input, copied.output, name=f"{model.name}_source")
    for original, copy in copies.values():
        copy.set_weights(original.get_weights())
    return copied, list(copies.values())
