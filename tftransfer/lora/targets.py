"""Which layers get adapters: by name, pattern, block or kind."""

import dataclasses
import fnmatch
import re
from typing import Any

import keras

from tftransfer.checks import did_you_mean
from tftransfer.freezing.blocks import split_model
from tftransfer.freezing.graph import (
    graph_of,
    has_graph,
    has_own_config,
    has_plain_call,
)
from tftransfer.lora.adapted import paths_inside
from tftransfer.lora.low_rank import CONVOLUTIONS, Learning, matrix_shape

_DEPTHWISE = (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)
_DENSE = (keras.layers.Dense, keras.layers.EinsumDense)
_KINDS = (*CONVOLUTIONS, *_DEPTHWISE, *_DENSE, keras.layers.Embedding)
_QUERY_OR_VALUE = re.compile(r"(^|_)(query|value|q|v)(_|$)")


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A layer of the backbone that adapters can go into, or that can learn whole.

    Attributes:
        name: Unique in the model: the layer's name, behind those of the layers it is
            in, as `transformer_layer_0/self_attention_layer/query`.
        block: Name of its block, see `model_blocks`.
        kind: Name of its class in Keras, such as `"Conv2D"`.
        layer: The Keras layer.
        owner: The layer around it that Keras saves as a whole; often itself.
        path: Where it is in `owner`, see `paths_inside`.
        shape: `(rows, columns)` of its matrix; `None` for depthwise kernels.
    """

    name: str
    block: str
    kind: str
    layer: Any
    owner: Any
    path: str
    shape: tuple | None

    def count_factors(self, rank):
        """Number of weights that adapters of a rank would add."""
        return rank * sum(self.shape or ())

    def learns_whole(self, rank):
        """Whether adapters would have no fewer weights than what they adapt."""
        if self.shape is None:
            return True
        rows, columns = self.shape
        return self.count_factors(rank) >= rows * columns


def list_candidates(model):
    """List the `Candidate` layers of a model's backbone, from input to output."""
    graph = graph_of(model)
    owners = dict(_owners(graph, graph if has_own_config(graph) else None))
    found: dict[int, Candidate] = {}
    names: set[str] = set()
    for block in split_model(graph)[0]:
        for layer in block.layers if block.variables is None else ():
            owner = owners.get(id(layer), layer)
            paths = {id(part): path for path, part in paths_inside(owner).items()}
            for inner, part in paths_inside(layer).items():
                kind = _kind_of(part)
                if kind is not None and id(part) not in found:
                    found[id(part)] = Candidate(
                        name=_unique(f"{layer.name}/{inner}".rstrip("/"), names),
                        block=block.name,
                        kind=kind,
                        layer=part,
                        owner=owner,
                        path=paths[id(part)],
                        shape=matrix_shape(part),
                    )
    return list(found.values())


def find_targets(model, targets):
    """Return the candidates that `targets` name.

    Args:
        model: As of `add_lora`.
        targets: As of `add_lora`.

    Returns:
        List of `Candidate`, each once, from input to output.

    Raises:
        ValueError: If a target matches nothing.
        TypeError: If a target is no string.
    """
    candidates = list_candidates(model)
    if not candidates:
        raise ValueError(
            "`model` must have layers in its backbone that adapters can go into: "
            f"{_list_kinds()}. Received: {graph_of(model).name!r}, where there is none "
            "without a constraint or quantization. Open blocks with "
            "set_trainable_depth instead."
        )
    if isinstance(targets, str) and targets == "auto":
        return _usual_targets(candidates)
    entries = [targets] if isinstance(targets, str) else targets
    _check_entries(entries, targets)
    for entry in entries:
        _check_matches(model, candidates, entry)
    return [x for x in candidates if any(_matches(x, entry) for entry in entries)]


def adapted_targets(model):
    """List the candidates that `add_lora` lets learn."""
    return [x for x in list_candidates(model) if isinstance(x.layer, Learning)]


def _usual_targets(candidates):
    """Query and value of attention; else all but tables of words; else these."""
    attention = [
        candidate
        for candidate in candidates
        if candidate.kind in ("Dense", "EinsumDense")
        and _QUERY_OR_VALUE.search(candidate.layer.name)
    ]
    others = [candidate for candidate in candidates if candidate.kind != "Embedding"]
    return attention or others or candidates


def _check_entries(entries, targets):
    is_list = isinstance(entries, (list, tuple)) and len(entries) > 0
    if not is_list or not all(isinstance(entry, str) for entry in entries):
        raise TypeError(
            '`targets` must be "auto", or names, patterns, blocks or kinds of layers, '
            f"one string or a list of them. Received: targets={targets!r}. Pass for "
            'example targets=["Conv2D", "DepthwiseConv2D"].'
        )


def _matches(candidate, entry):
    if entry in (candidate.kind, candidate.block):
        return True
    names = (candidate.name, candidate.layer.name)
    return any(fnmatch.fnmatchcase(name, entry) for name in names)


def _check_matches(model, candidates, entry):
    if any(_matches(candidate, entry) for candidate in candidates):
        return
    names = [x.name for x in candidates] + [x.layer.name for x in candidates]
    blocks = list(dict.fromkeys(x.block for x in candidates))
    kinds = list(dict.fromkeys(x.kind for x in candidates))
    hint = did_you_mean(entry, [*kinds, *blocks, *names])
    if entry in [layer.name for layer in split_model(model)[1]]:
        hint = "That is in the head, which learns whole without adapters."
    raise ValueError(
        "`targets` must name layers of the backbone that adapters can go into. "
        f"Received: targets with {entry!r}, which matches none. {hint} There are "
        f"layers of the kinds {', '.join(kinds)}, such as {names[-1]!r}, in the blocks "
        f"{', '.join(blocks[-6:])}."
    )


def _list_kinds():
    return ", ".join(kind.__name__ for kind in _KINDS)


def _kind_of(layer):
    if isinstance(layer, _DEPTHWISE):
        quantized = getattr(layer, "quantization_mode", None)
        return type(layer).__name__ if layer.built and quantized is None else None
    if matrix_shape(layer) is None:
        return None
    return next(kind.__name__ for kind in _KINDS if isinstance(layer, kind))


def _owners(model, owner):
    """Pairs of the id of a layer and the one that Keras saves it with."""
    for layer in model.layers:
        if has_graph(layer) and has_plain_call(layer):
            own = layer if has_own_config(layer) else None
            yield from _owners(layer, owner or own)
        else:
            yield id(layer), owner or layer


def _unique(name, names):
    unique, number = name, 1
    while unique in names:
        number += 1
        unique = f"{name}#{number}"
    names.add(unique)
    return unique
