"""From names of blocks, layers and weights to a multiplier for each weight."""

import itertools

from tftransfer.checks import check_number, did_you_mean
from tftransfer.freezing.blocks import model_blocks
from tftransfer.freezing.depth import block_variables
from tftransfer.freezing.graph import graph_of

HEAD = "head"


def check_rates(rates, layer_decay):
    """Raise unless both could be matched with some model.

    Args:
        rates: Dict from name to a number >= 0, or `None`.
        layer_decay: Number in (0, 1], or `None`.
    """
    if rates is not None and not isinstance(rates, dict):
        raise TypeError(
            "`rates` must be a dict from the name of a block, layer or weight to a "
            f"number. Received: rates={rates!r} of type {type(rates).__name__}. Pass "
            "for example rates=dict(head=1.0, block_5=0.1)."
        )
    for name, rate in (rates or {}).items():
        if not isinstance(name, str):
            raise TypeError(
                "`rates` must have names as keys. Received: rates with the key "
                f"{name!r} of type {type(name).__name__}. Pass layer.name."
            )
        check_number(f"rates[{name!r}]", rate, 0, advice="0 lets nothing move.")
    if layer_decay is None:
        return
    check_number("layer_decay", layer_decay, 0, 1, "0.75 is a usual value.")
    if layer_decay == 0:
        raise ValueError(
            "`layer_decay` must be a number in (0, 1]. Received: layer_decay=0. Call "
            "set_trainable_depth(model, 0) to train the head alone."
        )


def match_rates(model, rates, layer_decay):
    """Find the multiplier of each weight of a model.

    A weight that several names cover has the rate of the one that covers fewest
    weights. What no name covers has `layer_decay ** n` in the n-th block below the
    head, and 1 in the head.

    Args:
        model: `keras.Model`.
        rates: Dict from name to multiplier.
        layer_decay: Factor from block to block, or `None`.

    Returns:
        Dict from the id of a weight to its multiplier.

    Raises:
        ValueError: If a name covers nothing, two names cover the same weights, or
            `layer_decay` is given for a model without blocks.
    """
    blocks = _list_blocks(model, layer_decay)
    multipliers = {id(weight): 1.0 for weight in model.weights}
    if layer_decay is not None:
        for distance, block in enumerate(reversed(blocks), 1):
            for weight in block_variables(block):
                multipliers[id(weight)] = layer_decay**distance
    names = _list_names(model, blocks)
    for name in rates:
        _check_name(name, names, blocks)
    covering: dict[int, str] = {}
    for name in sorted(rates, key=lambda name: -len(names[name])):
        for key in names[name]:
            other = covering.get(key)
            if other is not None and len(names[other]) == len(names[name]):
                _refuse_twice(other, name)
            covering[key] = name
    multipliers.update((key, float(rates[name])) for key, name in covering.items())
    return multipliers


def _list_blocks(model, layer_decay):
    try:
        graph_of(model)
    except ValueError:
        if layer_decay is None:
            return []
        raise
    blocks = model_blocks(model)
    for block in blocks:
        if layer_decay is not None and block.undivided is not None:
            raise block.undivided
    return blocks


def _list_names(model, blocks):
    """Dict from each name to the ids of what it covers; blocks before layers."""
    names = {block.name: set(map(id, block_variables(block))) for block in blocks}
    if blocks:
        inside = set().union(*names.values())
        names[HEAD] = {id(weight) for weight in model.weights} - inside
    layers: dict[str, set] = {}
    for layer in model._flatten_layers(include_self=False):
        layers.setdefault(layer.name, set()).update(map(id, layer.weights))
    paths: dict[str, set] = {}
    for weight in model.weights:
        words = weight.path.split("/")
        for first, last in itertools.combinations(range(len(words) + 1), 2):
            paths.setdefault("/".join(words[first:last]), set()).add(id(weight))
    return {name: ids for name, ids in {**paths, **layers, **names}.items() if ids}


def _check_name(name, names, blocks):
    if name in names:
        return
    known = ", ".join(block.name for block in blocks[-6:])
    last = f"The last blocks are: {known}." if known else ""
    if name == HEAD and not blocks:
        last = "A model without a graph has no head: name its layers."
    raise ValueError(
        f'`rates` must name blocks, layers or weights of the model, or "{HEAD}". '
        f"Received: rates with {name!r}, which has no weights. "
        f"{did_you_mean(name, names)} {last}".rstrip()
    )


def _refuse_twice(one, other):
    raise ValueError(
        "`rates` must give each weight one rate. Received: rates with "
        f"{one!r} and {other!r}, which cover the same. Leave one of them out."
    )
