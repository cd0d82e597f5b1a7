"""The graph of a functional model as a flat list of calls, and where to cut it."""

import dataclasses
import itertools

import keras
from keras.src.models.functional import Functional  # public only by another name


@dataclasses.dataclass(frozen=True)
class Call:
    """One call of a layer or operation in a graph.

    Attributes:
        operation: `keras.Layer` or `keras.Operation`.
        inputs: Keys of the tensors it reads.
        outputs: Keys of the tensors it makes.
        tensors: The Keras tensors it makes, in the order of `outputs`.
        node: The Keras node, whose arguments the call was made with.
    """

    operation: object
    inputs: tuple
    outputs: tuple
    tensors: tuple
    node: object


@dataclasses.dataclass(frozen=True)
class Graph:
    """The calls of a model, those in nested models too, and where they begin and end.

    Attributes:
        calls: List of `Call`, each after all it reads.
        inputs: Keys of the model's inputs, in their order.
        outputs: Keys of the model's outputs, in their order.
    """

    calls: list
    inputs: tuple
    outputs: tuple


def graph_of(model):
    """Return the functional model of `model`: itself, or its attribute `model`.

    Raises:
        ValueError: If there is none.
    """
    for candidate in (model, getattr(model, "model", None)):
        if has_graph(candidate):
            return candidate
    raise ValueError(
        "`model` must be a functional or Sequential Keras model with known input "
        "shape, or have one as its attribute `model`. Received: "
        f"model={type(model).__name__}. Build it with keras.Model(inputs, outputs), or "
        "set layer.trainable yourself and compile again."
    )


def has_graph(model):
    """Whether `model` is a Keras model made of layers that call one another."""
    return isinstance(model, keras.Model) and bool(getattr(model, "outputs", None))


def list_calls(model):
    """List the calls of a graph from input to output, those in nested models too.

    Returns:
        List of `Call`, each after all it reads, and the set of the model's output keys.
    """
    graph = read_graph(model)
    return graph.calls, set(graph.outputs)


def read_graph(model):
    """Read the `Graph` of a functional or Sequential model."""
    keys = {id(tensor): object() for tensor in model.inputs}
    inputs = tuple(keys.values())
    calls = _collect(model, keys)
    return Graph(calls, inputs, tuple(keys[id(tensor)] for tensor in model.outputs))


def _collect(model, keys):
    calls = []
    for node in _nodes(model):
        inputs = tuple(keys[id(tensor)] for tensor in node.input_tensors)
        nested = node.operation
        if has_graph(nested) and has_plain_call(nested):
            inner = dict(zip(map(id, nested.inputs), inputs, strict=True))
            calls += _collect(nested, inner)
            outputs = [inner[id(tensor)] for tensor in nested.outputs]
        else:
            outputs = [object() for _ in node.outputs]
            tensors = tuple(node.outputs)
            calls.append(Call(nested, inputs, tuple(outputs), tensors, node))
        keys.update(zip(map(id, node.outputs), outputs, strict=True))
    return calls


def has_plain_call(model):
    """Whether calling `model` runs its graph, and nothing of its class' own."""
    return type(model).call in (Functional.call, keras.Sequential.call)


def has_own_config(model):
    """Whether Keras saves `model` by options of its class, not by its layers."""
    stock = (Functional.get_config, keras.Sequential.get_config)
    return type(model).get_config not in stock


def _nodes(model):
    """Nodes of one graph, each after those it reads. No recursion: graphs are deep."""
    known = {id(tensor) for tensor in model.inputs}
    seen, ordered = set(), []
    stack = [_maker(x) for x in reversed(model.outputs) if id(x) not in known]
    while stack:
        node = stack.pop()
        if id(node) in seen:
            continue
        reads = [_maker(x) for x in node.input_tensors if id(x) not in known]
        waiting = [maker for maker in reads if id(maker) not in seen]
        if waiting:
            stack += [node, *reversed(waiting)]
        else:
            seen.add(id(node))
            ordered.append(node)
    return [node for node in ordered if node.input_tensors]


def _maker(tensor):
    history = tensor._keras_history
    return history.operation._inbound_nodes[history.node_index]


def list_cuts(calls, outputs):
    """List the calls after which one tensor carries all that the layers have made.

    Beside it there may be tensors of whole numbers, such as the mask of a text: they
    are few and exact, so they can go along. The order of `calls` does not matter as
    long as each comes after those it reads: around a cut every call lies either below
    or above it.

    Args:
        calls: List of `Call`.
        outputs: Set of the keys of the model's outputs.

    Returns:
        List of tuples: index of the call, and a tuple of the keys of the tensors that
        go along.
    """
    last_use = {key: index for index, call in enumerate(calls) for key in call.inputs}
    last_use.update(dict.fromkeys(outputs, len(calls)))
    made = {key for call in calls for key in call.outputs}
    alive = {key: None for key in last_use if key not in made}  # in order of making
    whole = {key for key, tensor in _tensors(calls) if _is_whole(tensor)}
    cuts = []
    for index, call in enumerate(calls):
        alive.update(dict.fromkeys(key for key in call.outputs if key in last_use))
        alive = {key: None for key in alive if last_use[key] > index}
        carrying = alive if len(alive) == 1 else alive.keys() - whole
        if len(carrying) == 1 and set(carrying) <= set(call.outputs):
            cuts.append((index, tuple(key for key in alive if key not in carrying)))
    return cuts


def cut_positions(calls, outputs):
    """List the indices of the calls of `list_cuts`."""
    return [index for index, _ in list_cuts(calls, outputs)]


def _tensors(calls):
    for call in calls:
        yield from zip(call.inputs, call.node.input_tensors, strict=True)
        yield from zip(call.outputs, call.tensors, strict=True)


def _is_whole(tensor):
    return tensor.dtype == "bool" or "int" in str(tensor.dtype)


def leaf_layers(calls):
    """Layers of `calls` in order, each once, without plain operations."""
    layers = {id(call.operation): call.operation for call in calls}
    return [layer for layer in layers.values() if isinstance(layer, keras.Layer)]


def nested_models(model):
    """All models with a graph inside `model`, at any depth, outer ones first."""
    inner = [layer for layer in model.layers if has_graph(layer)]
    return inner + list(itertools.chain.from_iterable(map(nested_models, inner)))
