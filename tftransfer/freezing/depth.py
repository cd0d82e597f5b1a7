"""How much of a network learns, counted from its output."""

import numbers

from tftransfer.checks import check_choice, did_you_mean
from tftransfer.freezing.batch_norm import POLICIES, apply_batch_norm
from tftransfer.freezing.blocks import split_model
from tftransfer.freezing.flags import (
    has_adapters,
    read_flags,
    restore_flags,
    set_own_flag,
    set_trainable,
)
from tftransfer.freezing.graph import graph_of, nested_models
from tftransfer.freezing.recompiling import recompile


def set_trainable_depth(model, depth, batch_norm="inference"):
    """Choose how much of a model's backbone learns, counted from the output.

    Works on any functional or Sequential Keras model, may be called again at any time
    in either direction, and compiles a compiled model again with its own optimizer
    class and configuration, loss and metrics: Keras would go on training the old
    choice without a word. The optimizer starts anew (its moments are gone). The head
    always learns; see `model_blocks` for blocks and for where the head begins.

    In a model with adapters (`add_lora`) those of the open blocks learn and nothing
    beside them, BatchNormalization included.

    BatchNormalization in the frozen part always runs in inference mode. A `.keras`
    file keeps `layer.trainable` but not the single variables that
    `batch_norm="inference"` leaves free, nor those of a partly open SavedModel: call
    this function again after loading.

    Args:
        model: Functional or Sequential model, or a wrapper that has one as `.model`.
        depth: `0` freezes the backbone; an `int` n opens the last n blocks; a `float`
            in (0, 1] the last blocks that together hold at least this fraction of the
            backbone's parameters; a block's or layer's name everything from there up;
            `"all"` everything; `None` changes nothing at all.
        batch_norm: BatchNormalization in the open part of the backbone: `"inference"`
            (statistics fixed, scale and offset learn), `"frozen"` (nothing moves; in
            a SavedModel as `"inference"`) or `"train"` (batch statistics, as in
            training from scratch).

    Raises:
        ValueError: If the model has no graph, there are fewer blocks than `depth`, the
            fraction is outside (0, 1], or a name or policy is unknown.
        TypeError: If `depth` is of another type, a `bool` included.

    Example:

    >>> model = keras.applications.MobileNetV2(weights=None, alpha=0.35)
    >>> tft.set_trainable_depth(model, "block_15")
    >>> model.get_layer("block_14_expand").trainable
    False
    >>> model.get_layer("block_15_expand").trainable
    True

    Reference:
        [Transfer learning guide](https://keras.io/guides/transfer_learning/), on
        BatchNormalization during fine-tuning.
    """
    if change_flags(model, depth, batch_norm):
        recompile(model)


def change_flags(model, depth, batch_norm):
    """Set the trainable flags for a depth without compiling.

    Returns:
        Whether anything was set: not for `depth=None`.
    """
    check_depth_kind(depth, batch_norm)
    if depth is None:
        return False
    blocks, head = split_model(model)
    first, start = _first_open(blocks, depth)
    before = read_flags(model)
    try:
        _set_blocks(blocks, first, start, batch_norm)
        for layer in [*head, *_beside_graph(model)]:
            set_trainable(layer, True)
    except Exception:  # a SavedModel that cannot be trained says so when it is opened
        restore_flags(before)
        raise
    _set_containers(model)
    if hasattr(model, "follow_flags"):
        model.follow_flags()
    return True


def _beside_graph(model):
    """Layers that a wrapper has besides its functional model, such as an alignment."""
    graph = graph_of(model)
    if model is graph or hasattr(model, "follow_flags"):
        return []
    return [x for x in model._flatten_layers(False, False) if x is not graph]


def _set_containers(model):
    """A model's own flag hides all weights in it, so it follows from theirs."""
    graph = graph_of(model)
    for container in nested_models(graph):
        learns = any(weight.trainable for weight in container.weights)
        set_own_flag(container, learns or not container.weights)
    for container in (model, graph):
        set_own_flag(container, True)


def check_depth_kind(depth, batch_norm):
    """Raise for a depth or policy that suits no model, before there is one."""
    check_choice("batch_norm", batch_norm, POLICIES)
    if depth is None or isinstance(depth, str):
        return
    if isinstance(depth, bool) or not isinstance(depth, numbers.Real):
        raise TypeError(
            "`trainable_depth` must be an int (blocks), a float in (0, 1] (fraction of "
            'the parameters), the name of a block or layer, "all" or None. Received: '
            f"trainable_depth={depth!r} of type {type(depth).__name__}. Pass 0 to "
            'freeze the backbone, "all" to train it.'
        )
    is_count = isinstance(depth, numbers.Integral)
    if not is_count and not 0 < float(depth) <= 1:
        raise ValueError(
            "`trainable_depth` given as a float must be a fraction in (0, 1] of the "
            f"backbone's parameters. Received: trainable_depth={float(depth)}. Pass "
            "the int 0 to freeze the backbone, or an int for a number of blocks."
        )
    if is_count and float(depth) < 0:
        raise ValueError(
            "`trainable_depth` given as an int must be a number of blocks, >= 0. "
            f"Received: trainable_depth={depth}. Pass 0 to freeze the backbone."
        )


def check_depth(model, depth):
    """Raise as `set_trainable_depth` would, changing nothing."""
    check_depth_kind(depth, "inference")
    if depth is not None:
        _first_open(split_model(model)[0], depth)


def open_layers(model, depth):
    """List the layers of the backbone that `set_trainable_depth` opens for a depth."""
    blocks = split_model(model)[0]
    first, start = _first_open(blocks, depth)
    opened = [layer for block in blocks[first:] for layer in block.layers]
    return opened[start:]


def is_backbone_frozen(model):
    """Whether no weight of the backbone learns."""
    blocks, _ = split_model(model)
    return not any(
        variable.trainable for block in blocks for variable in block_variables(block)
    )


def block_variables(block):
    """All weights of a block."""
    if block.variables is not None:
        return list(block.variables)
    return [weight for layer in block.layers for weight in layer.weights]


def _set_blocks(blocks, first, start, batch_norm):
    adapted = _adapted_layers(blocks)
    for index, block in enumerate(blocks):
        if block.variables is not None:
            continue
        opened = block.layers[start if index == first else 0 :]
        if adapted:
            opened = [layer for layer in opened if id(layer) in adapted]
        policy = "frozen" if adapted else batch_norm
        _set_layers(block, opened if index >= first else (), policy)
    _set_variables(blocks, len(blocks) if adapted else first, batch_norm)


def _adapted_layers(blocks):
    """Ids of the layers that learn in a model with adapters, of others none."""
    layers = [layer for block in blocks for layer in block.layers]
    return {id(layer) for layer in layers if has_adapters(layer)}


def _set_layers(block, opened, batch_norm):
    open_ids = set(map(id, opened))
    for layer in block.layers:
        set_trainable(layer, id(layer) in open_ids)
    for layer in opened:
        apply_batch_norm(layer, batch_norm)


def _set_variables(blocks, first, batch_norm):
    """Open the blocks of SavedModel layers variable by variable."""
    of_variables = [(i, x) for i, x in enumerate(blocks) if x.variables is not None]
    learning = {id(x.layers[0]) for i, x in of_variables if i >= first}
    for layer in {id(x.layers[0]): x.layers[0] for _, x in of_variables}.values():
        set_trainable(layer, id(layer) in learning)
        if id(layer) in learning:
            _set_module_mode(layer, batch_norm)
    for index, block in of_variables:
        for variable in block.variables:
            variable.trainable = index >= first


def _set_module_mode(layer, batch_norm):
    # Scale and offset cannot be told from other variables, so they learn if open.
    if hasattr(layer, "batch_norm"):
        layer.batch_norm = "train" if batch_norm == "train" else "inference"


def _first_open(blocks, depth):
    """Index of the first open block, and of its first open layer."""
    if isinstance(depth, str):
        return _named(blocks, depth)
    if isinstance(depth, numbers.Integral):
        return _counted(blocks, int(depth)), 0
    return _fraction(blocks, float(depth)), 0


def _counted(blocks, depth):
    if depth > 0:
        _check_divided(blocks)
    if depth > len(blocks):
        raise ValueError(
            "`trainable_depth` given as an int must be a number of blocks from 0 to "
            f"{len(blocks)}, which is all this backbone has. Received: "
            f"trainable_depth={depth}. describe_trainable(model) lists the blocks; "
            'pass "all" to train everything.'
        )
    return len(blocks) - depth


def _check_divided(blocks):
    for block in blocks:
        if block.undivided is not None:
            raise block.undivided


def _fraction(blocks, fraction):
    if fraction < 1:
        _check_divided(blocks)
    wanted = fraction * sum(block.num_parameters for block in blocks)
    opened = 1e-9 * wanted  # 368 of 672 is a fraction that rounds to a little more
    for index in reversed(range(len(blocks))):
        opened += blocks[index].num_parameters
        if opened >= wanted:
            return index
    return 0


def _named(blocks, name):
    if name == "all":
        return 0, 0
    places = {block.name: (index, 0) for index, block in enumerate(blocks)}
    for index, block in enumerate(blocks):
        for position, layer in enumerate(block.layers):
            places.setdefault(layer.name, (index, position))
    if name not in places:
        hint = did_you_mean(name, places)
        names = ", ".join(block.name for block in blocks[-6:])
        raise ValueError(
            "`trainable_depth` given as a name must be a block or layer of the "
            f"backbone. Received: trainable_depth={name!r}. {hint} The last blocks "
            f"are: {names}. The head always learns."
        )
    return places[name]
