"""Memory of models that are no longer needed, given back."""

import contextlib
import gc

from tensorflow.python.eager import context  # no public names for what is kept here
from tensorflow.python.eager.polymorphic_function import concrete_function
from tensorflow.python.framework import ops

KEPT_FOREVER = "CustomGradient-"  # as `tf.custom_gradient` names what it registers


@contextlib.contextmanager
def memory_given_back():
    """Give back, at the end of the block, what its dead models took.

    TensorFlow registers the gradient of each custom gradient it meets in a graph,
    under a new name and forever; every `apply_gradients` meets one (the sum over
    replicas). A registered gradient holds its graph, the graph the variables: each
    `fit` of a new model would so keep weights and moments, also through
    `keras.utils.clear_session`, which in turn would undo the user's dtype policy.

    What was registered within the block is taken out again, except names that a
    function which still lives mentions. Whatever else the block made must have no
    other reference any more.

    Example:

    >>> with memory_given_back():
    ...     model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    ...     del model
    """
    before = set(_registered())
    try:
        yield
    finally:
        gc.collect()
        if _forget(before):
            gc.collect()
        context.context().clear_kernel_cache()


def _registered():
    return getattr(ops.gradient_registry, "_registry", {})


def _forget(before):
    registry = _registered()
    new = {name for name in registry if name.startswith(KEPT_FOREVER)} - before
    dead = new - _names_in_use() if new else new
    for name in dead:
        del registry[name]
    return dead


def _names_in_use():
    """Names of gradients in the graphs of all functions that still live."""
    living = [
        thing
        for thing in gc.get_objects()
        if type(thing) is concrete_function.ConcreteFunction
    ]
    names = set()
    for function in living:
        graph = function.graph.as_graph_def()
        inner = [node for part in graph.library.function for node in part.node_def]
        for node in [*graph.node, *inner]:
            if "_gradient_op_type" in node.attr:
                names.add(node.attr["_gradient_op_type"].s.decode())
    return names
