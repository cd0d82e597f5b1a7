"""The graph of a functional model as a flat list of calls, and where to cut it."""

import dataclasses
import itertools

import keras


@dataclasses.dataclass(frozen=True)
class Call:
    """One call of a layer or operation in a graph.

    Attributes:
        operation: `keras.Layer` or `keras.Operation`.
        inputs: Keys of the tensors it reads.
        outputs: Keys of the tensors it makes.
        tensors: The Keras tensors it makes, in the order of `outputs`.
    """

    operation: object
    inputs: tuple
    outputs: tuple
    tensors: tuple


@dataclasses.dataclass(frozen=True)
class Cut:
    """A place where one single tensor carries everything from input to output.

    Attributes:
        name: Name of the layer or operation that makes the tensor.
        tensor: The Keras tensor: `keras.Model(model.inputs, cut.tensor)` is the part
            below the cut.
    """

    name: str
    tensor: object


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


def single_tensor_cuts(model):
    """List the places where one tensor carries everything, input to output.

    A frozen part that ends at a cut can run once over the data and be replaced by its
    stored results. Nested models count as one layer here: Keras cannot split them.

    Args:
        model: Functional or Sequential model, or a wrapper that has one as `.model`.

    Returns:
        List of `Cut`, from input to output, without the model's own output.

    Raises:
        ValueError: If `model` has no graph.

    Example:

    >>> x = inputs = keras.Input((8,))
    >>> x = keras.layers.Dense(8, name="below")(x)
    >>> x = keras.layers.Add(name="add")([x, keras.layers.Dense(8, name="branch")(x)])
    >>> model = keras.Model(inputs, keras.layers.Dense(2)(x))
    >>> [cut.name for cut in single_tensor_cuts(model)]
    ['below', 'add']
    """
    calls, outputs = list_calls(graph_of(model), enter_nested=False)
    return [
        Cut(calls[index].operation.name, calls[index].tensors[0])
        for index in cut_positions(calls, outputs)
        if not outputs & set(calls[index].outputs)
    ]


def list_calls(model, enter_nested=True):
    """List the calls of a graph from input to output, those in nested models too.

    Returns:
        List of `Call`, each after all it reads, and the set of the model's output keys.
    """
    keys = {id(tensor): object() for tensor in model.inputs}
    calls = _collect(model, keys, enter_nested)
    return calls, {keys[id(tensor)] for tensor in model.outputs}


def _collect(model, keys, enter_nested):
    calls = []
    for node in _nodes(model):
        inputs = tuple(keys[id(tensor)] for tensor in node.input_tensors)
        nested = node.operation
        if enter_nested and has_graph(nested) and len(nested.inputs) == len(inputs):
            inner = dict(zip(map(id, nested.inputs), inputs, strict=True))
            calls += _collect(nested, inner, enter_nested)
            outputs = [inner[id(tensor)] for tensor in nested.outputs]
        else:
            outputs = [object() for _ in node.outputs]
            tensors = tuple(node.outputs)
            calls.append(Call(node.operation, inputs, tuple(outputs), tensors))
        keys.update(zip(map(id, node.outputs), outputs, strict=True))
    return calls


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


def cut_positions(calls, outputs):
    """Indices of the calls after which a single tensor is still needed.

    The order of `calls` does not matter as long as each comes after those it reads:
    around a cut every call lies either below or above it.
    """
    last_use = {key: index for index, call in enumerate(calls) for key in call.inputs}
    last_use.update(dict.fromkeys(outputs, len(calls)))
    made = {key for call in calls for key in call.outputs}
    alive = {key for key in last_use if key not in made}
    positions = []
    for index, call in enumerate(calls):
        alive |= last_use.keys() & set(call.outputs)
        alive = {key for key in alive if last_use[key] > index}
        if len(alive) == 1 and alive <= set(call.outputs):
            positions.append(index)
    return positions


def leaf_layers(calls):
    """Layers of `calls` in order, each once, without plain operations."""
    layers = {id(call.operation): call.operation for call in calls}
    return [layer for layer in layers.values() if isinstance(layer, keras.Layer)]


def nested_models(model):
    """All models with a graph inside `model`, at any depth, outer ones first."""
    inner = [layer for layer in model.layers if has_graph(layer)]
    return inner + list(itertools.chain.from_iterable(map(nested_models, inner)))
