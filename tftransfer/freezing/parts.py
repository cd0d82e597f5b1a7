"""A model in two parts, cut where one tensor carries everything."""

import dataclasses
from typing import Any

import keras
from keras import ops

from tftransfer.freezing.graph import (
    Graph,
    cut_positions,
    graph_of,
    has_plain_call,
    read_graph,
)


@dataclasses.dataclass(frozen=True)
class Cut:
    """A place where one single tensor carries everything from input to output.

    The parts below and above it run the model's own layers: nothing is copied, and
    nothing is added to the model's graph.

    Attributes:
        name: Name of the layer or operation that makes the tensor.
        tensor: The Keras tensor, which tells shape and dtype.
        position: Index of the call that makes it in `graph.calls`.
        graph: `Graph` of the model.
        model: The functional model.
    """

    name: str
    tensor: Any
    position: int
    graph: Graph
    model: Any

    @property
    def calls_below(self):
        """The calls that make the tensor, from the model's inputs on."""
        return self.graph.calls[: self.position + 1]

    @property
    def calls_above(self):
        """The calls that lead from the tensor to the model's outputs."""
        return self.graph.calls[self.position + 1 :]

    def run_below(self, inputs, training=None):
        """Compute the tensor.

        Args:
            inputs: What the model takes.
            training: As in a model's `call`.

        Returns:
            Tensor of the shape and dtype of `tensor`.
        """
        values = self.model._standardize_inputs(inputs)
        known = dict(zip(self.graph.inputs, values, strict=True))
        run_calls(self.calls_below, known, training)
        return known[self._key]

    def run_above(self, activations, training=None):
        """Compute what the model returns.

        Args:
            activations: Values of the tensor, any float dtype.
            training: As in a model's `call`.

        Returns:
            Tensor, or a structure of tensors as the model has it.
        """
        known = {self._key: ops.cast(activations, self.tensor.dtype)}
        run_calls(self.calls_above, known, training)
        flat = [known[key] for key in self.graph.outputs]
        outputs = keras.tree.pack_sequence_as(self.model._outputs_struct, flat)
        is_single = isinstance(outputs, (list, tuple)) and len(outputs) == 1
        return outputs[0] if is_single else outputs

    def run_until(self, activations, operation):
        """Compute what an operation above the cut takes, in inference.

        Args:
            activations: Values of the tensor, any float dtype.
            operation: Layer with one input, called above the cut.

        Returns:
            Tensor.
        """
        known = {self._key: ops.cast(activations, self.tensor.dtype)}
        above = self.calls_above
        place = [call.operation for call in above].index(operation)
        run_calls(above[:place], known, training=False)
        return known[above[place].inputs[0]]

    @property
    def _key(self):
        return self.graph.calls[self.position].outputs[0]


def run_calls(calls, known, training):
    """Run calls one after the other.

    Args:
        calls: List of `Call`.
        known: Dict from key to tensor; the results are added.
        training: Passed to every layer that takes it, unless `None`.
    """
    for call in calls:
        tensors = zip(call.node.input_tensors, call.inputs, strict=True)
        filled = {id(tensor): known[key] for tensor, key in tensors}
        args, kwargs = call.node.arguments.fill_in(filled)
        # As in a functional model, the argument overrules what the call was made with.
        if training is not None and _takes_training(call.operation):
            kwargs["training"] = training
        made = keras.tree.flatten(call.operation(*args, **kwargs))
        known.update(zip(call.outputs, made, strict=True))


def _takes_training(operation):
    return "training" in getattr(operation, "_call_context_args", {})


def single_tensor_cuts(model, *, with_output=False):
    """List the places where one tensor carries everything, input to output.

    A frozen part that ends at a cut can run once over the data and be replaced by its
    stored results. Nested models are entered, at any depth. A tensor with a Keras mask
    is no cut, since the mask would be lost, nor is a sparse or ragged one.

    Args:
        model: Functional or Sequential model, or a wrapper that has one as `.model`.
        with_output: Whether the model's own output counts, nothing being above it.

    Returns:
        List of `Cut`, from input to output. Empty for a model that overrides `call`.

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
    model = graph_of(model)
    if not has_plain_call(model):
        return []
    model = getattr(model, "_functional", model)  # that of a Sequential model
    graph, cuts = read_graph(model), []
    for position in cut_positions(graph.calls, set(graph.outputs)):
        call = graph.calls[position]
        if len(call.outputs) > 1 or not _is_plain(call.tensors[0]):
            continue
        if with_output or call.outputs[0] not in graph.outputs:
            name = call.operation.name
            cuts.append(Cut(name, call.tensors[0], position, graph, model))
    return cuts


def is_random(operation):
    """Whether a layer draws random numbers in training, as dropout does."""
    if not isinstance(operation, keras.Layer):
        return False
    return any(layer._seed_generators for layer in operation._flatten_layers())


def _is_plain(tensor):
    has_mask = getattr(tensor, "_keras_mask", None) is not None
    return not (has_mask or tensor.sparse or getattr(tensor, "ragged", False))
