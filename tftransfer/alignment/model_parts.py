"""Backbone and head of one model, as models that share its layers."""

import keras
import numpy as np
from keras import ops

from tftransfer.freezing.tensors import features_tensor, graph_tensors


class ModelParts:
    """Backbone and head as two models that share the layers of one.

    Args:
        model: Functional `keras.Model` with a layer named `features`.
        map_names: Names of layers whose outputs are wanted as well.
        suffix: What names of layers may end with, see `features_tensor`.

    Raises:
        ValueError: If `model` has no layer named `features`.
    """

    def __init__(self, model, map_names=(), suffix=""):
        names = [layer.name for layer in model.layers]
        if not {"features", f"features{suffix}"}.intersection(names):
            raise ValueError(
                "`model` must have a layer named 'features', where backbone and head "
                f"meet. Received: layers {names[-3:]} at the end. Build it with "
                "build_transfer_model."
            )
        features = features_tensor(model, suffix)
        # A Sequential model has no `input`.
        inputs = model.inputs[0] if len(model.inputs) == 1 else model.inputs
        outputs = model.outputs[0] if len(model.outputs) == 1 else model.outputs
        self.backbone = keras.Model(inputs, features)
        self.head = keras.Model(features, outputs)
        tensors = graph_tensors(model) if map_names else {}
        self._maps = {name: keras.Model(inputs, tensors[name]) for name in map_names}
        self._entries: dict = {(): self.backbone}
        self.entry_names: tuple = ()

    def choose_maps(self):
        """Take the maps below which something learns: the others stay as they were."""
        learning = [name for name, x in self._maps.items() if x.trainable_variables]
        self.entry_names = tuple(learning)
        if self.entry_names not in self._entries:
            outputs = [self._maps[name].output for name in learning]
            entry = keras.Model(self.backbone.input, [self.backbone.output, *outputs])
            self._entries[self.entry_names] = entry

    def has_other_maps(self):
        """Whether maps that count now are not among those taken."""
        return any(
            x.trainable_variables and name not in self.entry_names
            for name, x in self._maps.items()
        )

    @property
    def entry(self):
        """The backbone with the chosen maps beside its features."""
        return self._entries[self.entry_names]

    def run(self, inputs, training):
        """Run the backbone: a dict of its features, and of the maps by name."""
        made = self.entry(inputs, training=training)
        if not self.entry_names:
            return {"features": made}
        return dict(zip(("features", *self.entry_names), made, strict=True))

    def run_pair(self, source, target, training):
        """Run both domains, in one pass where the images are of one size.

        Returns:
            Two dicts as of `run`.
        """
        both = [source, target]
        leaves = [keras.tree.flatten(x) for x in both]
        if not _fit_together(*leaves):
            return [self.run(x, training) for x in both]
        if any(a.dtype != b.dtype for a, b in zip(*leaves, strict=True)):
            both = keras.tree.map_structure(lambda x: ops.cast(x, "float32"), both)
        # One batch: both domains meet the same BatchNormalization statistics.
        joined = keras.tree.map_structure(lambda *x: ops.concatenate(x, axis=0), *both)
        made = self.run(joined, training)
        size = ops.shape(leaves[0][0])[0]
        return [
            {name: x[:size] for name, x in made.items()},
            {name: x[size:] for name, x in made.items()},
        ]

    def has_moved(self, pairs):
        """Whether weights below the maps are frozen elsewhere than they started.

        Args:
            pairs: List of `(variable, start)`.
        """
        below = {id(v) for x in self._maps.values() for v in x.variables}
        return any(
            not np.array_equal(*map(ops.convert_to_numpy, (variable, start)))
            for variable, start in pairs
            if id(variable) in below and not variable.trainable
        )


def _fit_together(source, target):
    """Whether rows of both can lie in one batch; sizes not known may differ."""
    return all(
        a.shape[1:] == b.shape[1:] and None not in a.shape[1:]
        for a, b in zip(source, target, strict=True)
    )


def pool(features):
    """Mean of features over all axes but the first and the last."""
    axes = tuple(range(1, len(features.shape) - 1))
    return ops.mean(features, axis=axes) if axes else features
