"""Which channels of a network can only go together, from input to output."""

import dataclasses
from typing import Any

import numpy as np

from tftransfer.checks import did_you_mean
from tftransfer.freezing.graph import graph_of, has_plain_call, read_graph
from tftransfer.pruning.tracing import Tracer


@dataclasses.dataclass(frozen=True)
class Slice:
    """An axis of a weight, and whose channels lie along it.

    Attributes:
        layer: The Keras layer.
        variable: Its weight.
        axis: Axis of the weight.
        groups: Int array, the group of each place along the axis.
        role: `"reads"` where a matrix takes the channels in, `"makes"` where it gives
            them out, `"follows"` where a weight goes along, as in BatchNormalization.
    """

    layer: Any
    variable: Any
    axis: int
    groups: np.ndarray
    role: str


@dataclasses.dataclass(frozen=True)
class Channels:
    """The channels of a model in groups, each of which stays or goes as a whole.

    A group is a number. The channels that one layer makes are in as many groups unless
    something mixes them; channels that are added to one another share a group.

    Attributes:
        graph: `Graph` of the model.
        tensors: Dict from key to int array, the groups along a tensor's last axis, or
            to `None` where they are not known.
        slices: List of `Slice`.
        makers: Dict from the id of a layer to the layer and the groups of its units.
        fixed: Dict from the group of a channel that has to stay to the reason.
    """

    graph: Any
    tensors: dict
    slices: list
    makers: dict
    fixed: dict

    def units_of(self, layer):
        """Groups of the units that a layer makes, int array in their order."""
        return self.makers[id(layer)][1]

    def layers_with(self, groups):
        """List the layers that make channels of any of these groups."""
        return [
            layer
            for layer, units in self.makers.values()
            if np.isin(units, groups).any()
        ]

    def reason_to_stay(self, groups):
        """Tell what keeps any of these groups from going, or `None`."""
        return next((self.fixed[x] for x in groups if x in self.fixed), None)

    def named(self, name, argument):
        """Return the one layer of this name that makes units.

        Args:
            name: Name of a layer.
            argument: Name of the argument, for the message.

        Raises:
            ValueError: If there is none, or more than one.
        """
        found = [layer for layer, _ in self.makers.values() if layer.name == name]
        if len(found) == 1:
            return found[0]
        names = [layer.name for layer, _ in self.makers.values()]
        how_many = f"{len(found)} layers" if found else "none with units of its own"
        raise ValueError(
            f"`{argument}` must name Dense or convolutional layers. Received: "
            f"{argument} with {name!r}, which is {how_many}. "
            f"{did_you_mean(name, names)} The last are {', '.join(names[-4:])}."
        )


def trace_channels(model):
    """Find which channels of a model belong together.

    Every channel that a dense or convolutional layer makes is followed up to the
    layers that read it: through BatchNormalization, activations, pooling, dropout and
    depthwise convolutions, which keep channels apart; Flatten and Reshape, which lay
    each out several times; Concatenate, which puts them side by side; and Add and
    Multiply, as in residual blocks and squeeze-and-excitation, which tie channels of
    several layers. What mixes channels in another way, such as LayerNormalization or
    softmax, holds what it reads in place, as do the model's inputs and outputs.

    Args:
        model: Functional or Sequential model, or a wrapper that has one as `.model`.

    Returns:
        `Channels`.

    Raises:
        ValueError: If `model` has no graph, or more than its graph.

    Example:

    >>> from tftransfer.pruning.channels import trace_channels
    >>> inputs = keras.Input((4,))
    >>> one = keras.layers.Dense(2, name="one")(inputs)
    >>> two = keras.layers.Dense(2, name="two")(inputs)
    >>> logits = keras.layers.Dense(3)(keras.layers.Add()([one, two]))
    >>> channels = trace_channels(keras.Model(inputs, logits))
    >>> units = channels.units_of(channels.named("one", "units"))
    >>> [layer.name for layer in channels.layers_with(units)]
    ['one', 'two']

    Reference:
        [Fang et al., 2023](https://arxiv.org/abs/2301.12900), on coupled parameters.
    """
    plain = graph_of(model)
    if not has_plain_call(plain):
        raise ValueError(
            "`model` must be called as its graph is, without a `call` of its own. "
            f"Received: model of type {type(plain).__name__}. Pass "
            "keras.Model(model.inputs, model.outputs)."
        )
    plain = getattr(plain, "_functional", plain)  # that of a Sequential model
    tracer = Tracer()
    graph = read_graph(plain)
    tensors = dict(tracer.trace(graph, plain))
    groups = tracer.groups()

    def grouped(ids):
        return None if ids is None else groups[ids]

    return Channels(
        graph,
        {key: grouped(ids) for key, ids in tensors.items()},
        [
            Slice(layer, variable, axis, grouped(ids), role)
            for layer, variable, axis, ids, role in tracer.slices
        ],
        {key: (x, grouped(ids)) for key, (x, ids) in tracer.makers.items()},
        {int(groups[place]): reason for place, reason in tracer.fixed.items()},
    )
