"""Blocks of a network: the pieces that `trainable_depth` counts."""

import collections
import dataclasses
import math

import keras

from tftransfer.freezing.graph import (
    cut_positions,
    graph_of,
    leaf_layers,
    list_calls,
)
from tftransfer.freezing.naming import block_name
from tftransfer.freezing.strands import split_strands, take_turns

FEATURES = "features"
# Where they stand instead: on word vectors that learn, and with a side network.
TEXT_FEATURES, FEATURE_SUM = "text_features", "features_and_side"
_NORMALIZATIONS = (
    keras.layers.BatchNormalization,
    keras.layers.GroupNormalization,
    keras.layers.LayerNormalization,
)
_POOLINGS = (
    keras.layers.Flatten,
    keras.layers.GlobalAveragePooling1D,
    keras.layers.GlobalAveragePooling2D,
    keras.layers.GlobalAveragePooling3D,
    keras.layers.GlobalMaxPooling1D,
    keras.layers.GlobalMaxPooling2D,
    keras.layers.GlobalMaxPooling3D,
)


@dataclasses.dataclass(frozen=True)
class Block:
    """A piece of a backbone that is frozen or trained as a whole.

    Attributes:
        name: What its layers' names have in common, unique in the model.
        layers: Its Keras layers, from input to output.
        variables: For a part of a SavedModel its variables, otherwise `None`.
        num_parameters: Number of weights, as `model.count_params()` counts them.
        undivided: Why a SavedModel is one single block where it is, a `ValueError`.
    """

    name: str
    layers: tuple
    variables: tuple | None
    num_parameters: int
    undivided: ValueError | None = None


def model_blocks(model):
    """List the blocks of a model's backbone, from input to output.

    A block is the segment between two consecutive single-tensor cuts of the graph, so
    that a frozen part is always a whole prefix of the network. Then:

    - neighbors whose layers share one family name make one block: VGG's
      `block5_conv1` to `block5_conv3` are `block5`, `stem_conv` and `stem_bn` are
      `stem`;
    - a normalization or residual adapter alone belongs to the block below it;
    - a layer of a transformer is a block;
    - what has no weights joins its neighbor below (at the input the one above).

    Networks side by side, which share nothing with weights and meet at the features
    only, have blocks each of their own. These take turns from the output back, so that
    the last n are about as far up in each.

    The name is what the layers' names have in common up to the last word `block`,
    `cell` or `expanded_conv` with its number, otherwise without words such as `conv`
    or `bn`. NASNet passes two tensors from cell to cell and so has almost no cuts:
    nearly all of it is one block, which `set_trainable_depth` can open from a layer's
    name.

    The head is what lies above the layer named `features`; in other models what lies
    above the last global pooling or Flatten that has weights above it, and where there
    is none, the last layers with weights. Nested models are entered. A layer with an
    attribute `variable_blocks` (list of `(name, variables)`, as for a SavedModel)
    gives one block for each entry.

    Args:
        model: Functional or Sequential model, or a wrapper that has one as `.model`.

    Returns:
        List of `Block`, from input to output.

    Raises:
        ValueError: If `model` has no graph.

    Example:

    >>> model = keras.applications.VGG16(weights=None, input_shape=(32, 32, 3),
    ...     include_top=False, pooling="avg")
    >>> [block.name for block in model_blocks(model)]
    ['block1', 'block2', 'block3', 'block4', 'block5']
    """
    return split_model(model)[0]


def split_model(model):
    """Return the blocks of the backbone and the list of the head's layers."""
    calls, outputs = list_calls(graph_of(model))
    backbone, head = _split_calls(calls, outputs)
    needed = _needed_above(backbone, head, outputs)
    strands, others = split_strands(backbone, needed)
    taken: set[int] = set()
    sequences = []
    for place, (strand, keys) in enumerate(strands, 1):
        segments = _cut(strand, keys, taken)
        if place == len(strands):
            segments += _segments_of(_fresh(others, taken))
        sequences.append([_block_of(segment) for segment in _merge(segments)])
    blocks = _unique_names(take_turns(sequences))
    return blocks, [x for x in leaf_layers(head) if id(x) not in taken]


def _needed_above(backbone, head, outputs):
    """Keys of the backbone's tensors that it is there for."""
    for call in backbone:
        if call.operation.name == FEATURES:
            return set(call.outputs)  # a network beside it may read further down
    made = {key for call in backbone for key in call.outputs}
    return made & outputs.union(*(call.inputs for call in head))


def _cut(calls, outputs, taken):
    """Cut calls into segments wherever one tensor carries everything."""
    segments: list[_Segment] = []
    layers = {i for i, call in enumerate(calls) if _is_encoder_layer(call.operation)}
    ends = sorted(layers.union(cut_positions(calls, outputs)))
    for start, end in zip([0, *(i + 1 for i in ends)], [*ends, None], strict=True):
        stop = len(calls) if end is None else end + 1
        segments += _segments_of(_fresh(calls[start:stop], taken))
    return segments


def _is_encoder_layer(operation):
    # A whole layer of a transformer is a block even where something beside it, such as
    # relative positions that all of them read, goes on.
    return type(operation).__name__.endswith("Encoder")


def _fresh(calls, taken):
    # A layer used twice belongs to its first place: frozen there, frozen for all.
    fresh = [layer for layer in leaf_layers(calls) if id(layer) not in taken]
    taken.update(map(id, fresh))
    return fresh


@dataclasses.dataclass
class _Segment:
    layers: list
    name: str
    variables: tuple | None = None
    undivided: ValueError | None = None

    @property
    def num_parameters(self):
        if self.variables is not None:
            return sum(math.prod(variable.shape) for variable in self.variables)
        return sum(layer.count_params() for layer in self.layers if _learns(layer))

    @property
    def joins_below(self):
        weighted = [layer for layer in self.layers if layer.weights]
        return bool(weighted) and all(map(_joins_below, weighted))


def _joins_below(layer):
    is_adapter = getattr(layer, "joins_block_below", False)
    return is_adapter or isinstance(layer, _NORMALIZATIONS)


def _learns(layer):
    # The mean and variance of this layer are preprocessing, never learned by `fit`.
    return not isinstance(layer, keras.layers.Normalization)


def _segments_of(layers):
    divided = [(layer, *_variable_blocks(layer)) for layer in layers]
    plain = [layer for layer, parts, error in divided if not parts and not error]
    segments = [_Segment(plain, block_name(plain))] if plain else []
    for layer, parts, error in divided:
        if error:
            weights = tuple(layer.weights)
            segments.append(_Segment([layer], layer.name, weights, error))
        for name, variables in parts:
            segments.append(_Segment([layer], name, tuple(variables)))
    return segments


def _variable_blocks(layer):
    try:
        return getattr(layer, "variable_blocks", None) or (), None
    except ValueError as error:
        return (), error


def _merge(segments):
    """Join what has no weights, then neighbors of one family, then normalizations."""
    segments = _join_below(segments, lambda below, this: not this.num_parameters)
    if len(segments) > 1 and not segments[0].num_parameters:
        first = segments.pop(0)
        segments[0].layers = first.layers + segments[0].layers
    segments = _join_below(segments, lambda below, this: this.name == below.name)
    segments = _join_below(segments, lambda below, this: this.joins_below)
    return [segment for segment in segments if segment.num_parameters]


def _join_below(segments, belongs):
    joined: list[_Segment] = []
    for segment in segments:
        is_plain = joined and joined[-1].variables is None and segment.variables is None
        if is_plain and belongs(joined[-1], segment):
            joined[-1].layers += segment.layers
        else:
            joined.append(segment)
    return joined


def _block_of(segment):
    layers = tuple(segment.layers)
    return Block(
        segment.name,
        layers,
        segment.variables,
        segment.num_parameters,
        segment.undivided,
    )


def _unique_names(blocks):
    counts: collections.Counter = collections.Counter()
    unique = []
    for block in blocks:
        counts[block.name] += 1
        count = counts[block.name]
        name = block.name if count == 1 else f"{block.name}#{count}"
        unique.append(dataclasses.replace(block, name=name))
    return unique


def _split_calls(calls, outputs):
    """Split into backbone and head, the backbone closed against the input."""
    named = [call for call in calls if call.operation.name == FEATURES]
    if named:
        top = named[-1:]
    else:
        top = _last_pooling(calls, outputs) or _below_last_weights(calls)
    wanted, backbone = {key for call in top for key in call.outputs}, set()
    for call in reversed(calls):
        if wanted & set(call.outputs):
            backbone.add(id(call))
            wanted |= set(call.inputs)
    return (
        [call for call in calls if id(call) in backbone],
        [call for call in calls if id(call) not in backbone],
    )


def _last_pooling(calls, outputs):
    poolings = [
        index
        for index in cut_positions(calls, outputs)
        if isinstance(calls[index].operation, _POOLINGS)
    ]
    followed = [i for i in poolings if any(map(_has_weights, calls[i + 1 :]))]
    return [calls[index] for index in (followed or poolings)[-1:]]


def _has_weights(call):
    return bool(getattr(call.operation, "weights", None)) and _learns(call.operation)


def _below_last_weights(calls):
    """Calls that feed the last layers with weights, those with no others above."""
    above: set[object] = set()
    feeding = []
    for call in reversed(calls):
        has_weights_above = bool(above & set(call.outputs))
        if has_weights_above or _has_weights(call):
            above |= set(call.inputs)
        if has_weights_above:
            feeding.append(call)
    return feeding
