"""Two domains through one network: layers fixed, shared, and each domain's own."""

import keras

from tftransfer.alignment.aligned_model import AlignedModel
from tftransfer.alignment.model_parts import ModelParts
from tftransfer.branches.rewiring import check_flat, rewire
from tftransfer.distribution.scope import check_single
from tftransfer.freezing.blocks import split_model
from tftransfer.freezing.depth import check_depth, open_layers
from tftransfer.freezing.flags import has_adapters, set_own_flag

_SUFFIX = "_source"  # of the names of the source's own layers


@keras.saving.register_keras_serializable(package="tftransfer")
class HybridSharing(AlignedModel):
    """A transfer model that learns from two labeled domains, partly apart.

    The last blocks and the head exist twice, one copy for each domain, and learn from
    that domain alone; the blocks below are shared and learn from both, as far down as
    `trainable_depth` opens them; what lies below stays fixed. So a scarce target gets
    general features from the plentiful source, and its own last layers. An alignment
    draws together the features that both end with.

    `fit` takes what `pair_labeled_domains` makes; `evaluate` and `predict` take one
    input, the target's. Metrics during training are of both domains together. The
    model is compiled as the given one. Set the depth of this model, not of `.model`.

    Args:
        model: Flat functional model, as `build_transfer_model` makes it without
            alignment. It is the target's, at hand as `.model`, and learns in place.
        private_depth: How much each domain has for itself, counted from the output as
            `trainable_depth`: 0 is the head alone.
        alignment: `Alignment` layer, a list of them to be added, or `None`.

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

    def __init__(self, model, private_depth=1, alignment=None, **kwargs):
        check_flat(model, "Build it without alignment, and pass that here.")
        check_depth(model, private_depth)
        check_single(model, "HybridSharing")
        super().__init__(model, alignment, **kwargs)
        self.private_depth, self.labels_both = private_depth, True
        self.source_model, self._copies = _copy_top(model, private_depth)
        self._source_parts = ModelParts(self.source_model, suffix=_SUFFIX)
        self.follow_flags()
        if model.compiled:
            # Keras builds it when it loads a file and then misses its state.
            model.optimizer.build(model.trainable_variables)
            self.compile_from_config(model.get_compile_config())

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

    def run_pair(self, source, target, training):
        """Run each domain through its own model: dicts of features and logits."""
        pairs = (self._source_parts, source), (self._parts, target)
        return [
            self.with_logits(parts, parts.run(inputs, training), training)
            for parts, inputs in pairs
        ]

    def get_config(self):
        """Return the arguments that rebuild this model."""
        return {**super().get_config(), "private_depth": self.private_depth}


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
            config = {**layer.get_config(), "name": f"{layer.name}{_SUFFIX}"}
            copies[id(layer)] = layer, type(layer).from_config(config)
        return copies[id(layer)][1]

    copied = rewire(model, replace=replace)
    copied = keras.Model(copied.input, copied.output, name=f"{model.name}{_SUFFIX}")
    for original, copy in copies.values():
        copy.set_weights(original.get_weights())
    return copied, list(copies.values())
