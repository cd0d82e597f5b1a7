"""A function traced to a TensorFlow graph whose weights are constants."""

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import (
    convert_variables_to_constants_v2,
)

from tftransfer.engines.interface import EngineError, as_array, shapes_of

# Kernels that give every pixel back where the size stays.
_EXACT_KERNELS = (b"triangle", b"lanczos3", b"lanczos5", b"keyscubic")


@dataclasses.dataclass(frozen=True)
class FrozenGraph:
    """A graph that other engines can read.

    Attributes:
        graph_def: The graph, a `tf.compat.v1.GraphDef` without variables.
        inputs: Dictionary from the names of its input tensors to their
            `tf.TensorSpec`, the size of the batch axis `None`.
        output: Name of its output tensor.
        run: Callable from the list of input tensors to the output tensor.
        before: What TensorFlow must compute first because no other engine can
            (images resized with antialiasing): a callable from the tensors of a batch
            to the graph's inputs, or None.
    """

    graph_def: Any
    inputs: dict
    output: str
    run: Callable
    before: Callable | None = None

    def prepare(self, leaves):
        """Return the graph's input arrays for the arrays of a batch."""
        if self.before is None:
            return leaves
        return [self.before(list(map(tf.constant, leaves))).numpy()]


class Graphs:
    """The graphs of one function, traced for the shapes that are asked for.

    Args:
        function: Callable on one batch of tensors that returns one tensor.
        example: Batch of real rows.
    """

    def __init__(self, function, example):
        self.function = function
        self.example = keras.tree.map_structure(as_array, example)
        self._last = None

    def call_flat(self, *tensors):
        """Call the function on the tensors of a batch, in order."""
        return self.function(tf.nest.pack_sequence_as(self.example, tensors))

    def trace(self, leaves):
        """Trace the function for rows of one shape and any number of them.

        Args:
            leaves: List of NumPy arrays, a flat batch.

        Returns:
            A concrete function of flat tensors.

        Raises:
            TypeError: If the function does not return one tensor.
        """
        # Bare tensors: Keras would warn of a structure that is not its input's own.
        specs = [
            tf.TensorSpec([None, *leaf.shape[1:]], _dtype_of(leaf)) for leaf in leaves
        ]
        traced = tf.function(self.call_flat, input_signature=specs, autograph=False)
        concrete = traced.get_concrete_function()
        if not isinstance(concrete.structured_outputs, tf.Tensor):
            raise TypeError(
                "`function` must return one tensor. "
                f"Received: {concrete.structured_outputs}. "
                "Cut the model at a single tensor."
            )
        return concrete

    def freeze(self, leaves):
        """Trace the function and turn its variables into constants.

        Resizing that changes nothing, as the images have the model's size already, is
        left out: TensorFlow computes it all the same and other engines do not know it.

        Args:
            leaves: List of NumPy arrays: a flat batch, whose rows have the shape that
                the graph is made for.

        Returns:
            A `FrozenGraph` without `before`; the last one again where the shapes are
            the same.

        Raises:
            EngineError: If something, a table for example, cannot become a constant.
        """
        shapes = shapes_of(leaves)
        if self._last is None or self._last[0] != shapes:
            concrete = self.trace(leaves)
            try:
                self._last = shapes, _freeze(concrete, leaves)
            except (ValueError, NotImplementedError, tf.errors.OpError) as error:
                reason = str(error).strip().splitlines()[0]
                raise EngineError(f"its graph cannot be frozen: {reason}") from error
        return self._last[1]


def split_at_resizing(frozen):
    """Leave antialiased resizing, and all before it, to TensorFlow.

    Args:
        frozen: A `FrozenGraph` with one input.

    Returns:
        The `FrozenGraph` of the rest, which reads the resized images; `frozen` itself
        where nothing is resized, or where the rest needs more than the resized images.
    """
    graph_def = frozen.graph_def
    resizing = [node for node in graph_def.node if node.op == "ScaleAndTranslate"]
    if len(resizing) != 1 or len(frozen.inputs) != 1:
        return frozen
    resized = f"{resizing[0].name}:0"
    spec = _spec(_import(graph_def).get_tensor_by_name(resized))
    rest = type(graph_def)()
    rest.CopyFrom(graph_def)
    for node in rest.node:
        if node.name == resizing[0].name:
            del node.input[:]
            node.op = "Placeholder"
            node.attr.clear()
            node.attr["dtype"].type = tf.float32.as_datatype_enum
            node.attr["shape"].shape.CopyFrom(spec.shape.as_proto())
    rest = keep_needed(rest, [frozen.output])
    if set(map(_node, frozen.inputs)) & {node.name for node in rest.node}:
        return frozen
    inputs = {resized: spec}
    return FrozenGraph(
        rest,
        inputs,
        frozen.output,
        _make_runnable(rest, inputs, frozen.output),
        _make_runnable(graph_def, frozen.inputs, resized),
    )


def _freeze(concrete, leaves):
    variables = {id(variable.handle) for variable in concrete.graph.variables}
    for tensor in concrete.captured_inputs:
        if tensor.dtype == tf.resource and id(tensor) not in variables:
            raise NotImplementedError("it looks something up in a table")
    frozen = convert_variables_to_constants_v2(concrete)
    inputs = [tensor for tensor in frozen.inputs if tensor.dtype != tf.resource]
    names, output = [tensor.name for tensor in inputs], frozen.outputs[0].name
    graph_def = _drop_idle_resizing(frozen, inputs, leaves)
    graph_def = keep_needed(graph_def, [output, *names])  # also an input of no use
    specs = {tensor.name: _spec(tensor) for tensor in inputs}
    run = _make_runnable(graph_def, specs, output)
    return FrozenGraph(graph_def, specs, output, run)


def _dtype_of(leaf):
    return tf.string if leaf.dtype == object else tf.as_dtype(leaf.dtype)


def _drop_idle_resizing(frozen, inputs, leaves):
    graph_def = frozen.graph.as_graph_def()
    idle = {
        op.name
        for op in frozen.graph.get_operations()
        if op.type == "ScaleAndTranslate" and _is_idle(op, frozen, inputs, leaves)
    }
    for node in graph_def.node:
        if node.name in idle:
            node.op = "Identity"
            del node.input[1:]
            for name in set(node.attr) - {"T"}:
                del node.attr[name]
    return graph_def


def _is_idle(op, frozen, inputs, leaves):
    image, (result,) = op.inputs[0], op.outputs
    same = image.dtype == result.dtype and image.shape[1:].is_fully_defined()
    if not same or image.shape[1:] != result.shape[1:]:
        return False
    if op.get_attr("kernel_type") not in _EXACT_KERNELS:
        return False
    measure = frozen.prune(inputs, [op.inputs[2], op.inputs[3]])
    scale, translation = measure(*[tf.constant(leaf[:1]) for leaf in leaves])
    return bool(np.all(scale.numpy() == 1) and np.all(translation.numpy() == 0))


def keep_needed(graph_def, tensor_names):
    """Return a graph with only what some tensors are computed from."""
    nodes = {node.name: node for node in graph_def.node}
    wanted = [_node(name) for name in tensor_names]
    needed = set()
    while wanted:
        name = wanted.pop()
        if name not in needed:
            needed.add(name)
            wanted += [_node(source.lstrip("^")) for source in nodes[name].input]
    kept = type(graph_def)()
    kept.CopyFrom(graph_def)
    del kept.node[:]
    kept.node.extend(node for node in graph_def.node if node.name in needed)
    return kept


def _make_runnable(graph_def, specs, output):
    def call(*tensors):
        inputs = dict(zip(specs, tensors, strict=True))
        (result,) = tf.graph_util.import_graph_def(
            graph_def, input_map=inputs, return_elements=[output]
        )
        return result

    # No `tf.function`, which would trace it once more.
    wrapped = tf.compat.v1.wrap_function(call, list(specs.values()))
    return lambda tensors: wrapped(*tensors)


def _import(graph_def):
    graph = tf.Graph()
    with graph.as_default():
        tf.graph_util.import_graph_def(graph_def, name="")
    return graph


def _spec(tensor):
    return tf.TensorSpec(tensor.shape, tensor.dtype)


def _node(tensor_name):
    return tensor_name.partition(":")[0]
