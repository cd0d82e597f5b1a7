"""A model in two parts, cut where one tensor carries everything."""

import dataclasses
from typing import Any

import keras
from keras import ops

from tftransfer.freezing.graph import (
    Graph,
    graph_of,
    has_plain_call,
    list_cuts,
    read_graph,
)


@dataclasses.dataclass(frozen=True)
class Cut:
    """A place where one single tensor carries everything from input to output.

    The parts below and above it run the model's own layers: nothing is copied, and
    nothing is added to the model's graph. Whole numbers that must go along, such as
    the mask of a text, become further channels: `activations` are the tensor and, in
    its last axis, one channel for each of them.

    Attributes:
        name: Name of the layer or operation that makes the tensor.
        tensor: The Keras tensor, which tells shape and dtype.
        position: Index of the call that makes it in `graph.calls`.
        graph: `Graph` of the model.
        model: The functional model.
        along: Tuple of the keys of the tensors that go along, shaped as `tensor` is
            without its last axis.
    """

    name: str
    tensor: Any
    position: int
    graph: Graph
    model: Any
    along: tuple = ()

    @property
    def row_shape(self):
        """Shape of the activations of a row, `None` where it is not known."""
        shape = tuple(self.tensor.shape[1:])
        return (*shape[:-1], shape[-1] + len(self.along)) if self.along else shape

    @property
    def calls_below(self):
        """The calls that make the tensor, from the model's inputs on."""
        return self.graph.calls[: self.position + 1]

    @property
    def calls_above(self):
        """The calls that lead from the tensor to the model's outputs."""
        return self.graph.calls[self.position + 1 :]

    def run_below(self, inputs, training=None):
        """Compute the activations.

        Args:
            inputs: What the model takes.
            training: As in a model's `call`.

        Returns:
            Tensor of the dtype of `tensor`.
        """
        values = self.model._standardize_inputs(inputs)
        known = dict(zip(self.graph.inputs, values, strict=True))
        run_calls(self.calls_below, known, training)
        return self.pack(known)

    def run_from(self, lower, activations, training=None):
        """Compute the activations from those of a cut further down.

        Args:
            lower: `Cut` of the same model, where nothing goes along.
            activations: Values of that cut.
            training: As in a model's `call`.

        Returns:
            Tensor of the dtype of `tensor`.
        """
        made = self.graph.calls[lower.position]  # each reading has keys of its own
        known = {made.outputs[0]: ops.cast(activations, lower.tensor.dtype)}
        calls = self.graph.calls[lower.position + 1 : self.position + 1]
        run_calls(calls, known, training)
        return self.pack(known)

    def run_above(self, activations, training=None):
        """Compute what the model returns.

        Args:
            activations: As `run_below` gives them, any float dtype.
            training: As in a model's `call`.

        Returns:
            Tensor, or a structure of tensors as the model has it.
        """
        known = self._unpack(activations)
        run_calls(self.calls_above, known, training)
        flat = [known[key] for key in self.graph.outputs]
        outputs = keras.tree.pack_sequence_as(self.model._outputs_struct, flat)
        is_single = isinstance(outputs, (list, tuple)) and len(outputs) == 1
        return outputs[0] if is_single else outputs

    def run_until(self, activations, operation):
        """Compute what an operation above the cut takes, in inference.

        Args:
            activations: As `run_below` gives them, any float dtype.
            operation: Layer with one input, called above the cut.

        Returns:
            Tensor.
        """
        known = self._unpack(activations)
        above = self.calls_above
        place = [call.operation for call in above].index(operation)
        run_calls(above[:place], known, training=False)
        return known[above[place].inputs[0]]

    @property
    def _key(self):
        return self.graph.calls[self.position].outputs[0]

    def pack(self, known):
        """Put the tensor, and what goes along, into one.

        Args:
            known: Dict from key to tensor.
        """
        value = known[self._key]
        channels = [ops.cast(known[key], value.dtype)[..., None] for key in self.along]
        return ops.concatenate([value, *channels], axis=-1) if channels else value

    def _unpack(self, activations):
        dtype = self.tensor.dtype
        if not self.along:
            return {self._key: ops.cast(activations, dtype)}
        width = self.tensor.shape[-1]
        known = {self._key: ops.cast(activations[..., :width], dtype)}
        tensors = dict(_made_by(self.calls_below))
        for place, key in enumerate(self.along, width):
            known[key] = ops.cast(activations[..., place], tensors[key].dtype)
        return known


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
    tensors = dict(_made_by(graph.calls))
    for position, along in list_cuts(graph.calls, set(graph.outputs)):
        call = graph.calls[position]
        tensor = call.tensors[0]
        if len(call.outputs) > 1 or not _is_plain(tensor):
            continue
        if not all(_can_go_along(tensors.get(key), tensor) for key in along):
            continue
        if with_output or call.outputs[0] not in graph.outputs:
            name = call.operation.name
            cuts.append(Cut(name, tensor, position, graph, model, along))
    return cuts


def output_cut(model):
    """Return the `Cut` at the output of a model, with all of it below.

    Args:
        model: As of `single_tensor_cuts`.

    Returns:
        `Cut`, or `None` where the output is no cut.

    Raises:
        ValueError: If `model` has no graph.

    Example:

    >>> from tftransfer.freezing.parts import output_cut
    >>> inputs = keras.Input((8,))
    >>> output_cut(keras.Model(inputs, keras.layers.Dense(2, name="last")(inputs))).name
    'last'
    """
    cuts = single_tensor_cuts(model, with_output=True)
    return cuts[-1] if cuts and not cuts[-1].calls_above else None


def _made_by(calls):
    for call in calls:
        yield from zip(call.outputs, call.tensors, strict=True)


def _can_go_along(other, tensor):
    """Whether whole numbers fit beside `tensor`, and its dtype holds them exactly."""
    if other is None or len(other.shape) + 1 != len(tensor.shape):
        return False
    return tensor.dtype in ("float32", "float64") or other.dtype == "bool"


def is_random(operation):
    """Whether a layer draws random numbers in training, as dropout does."""
    if not isinstance(operation, keras.Layer):
        return False
    return any(layer._seed_generators for layer in operation._flatten_layers())


def _is_plain(tensor):
    has_mask = getattr(tensor, "_keras_mask", None) is not None
    return not (has_mask or tensor.sparse or getattr(tensor, "ragged", False))
