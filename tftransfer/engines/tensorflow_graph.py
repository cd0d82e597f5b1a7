"""The engine that is always there: a TensorFlow graph."""

import numpy as np
import tensorflow as tf

from tftransfer.engines.interface import (
    Engine,
    EngineError,
    Finished,
    cut_rows,
    shapes_of,
)
from tftransfer.engines.sizes import choose_size


class TensorFlowEngine(Engine):
    """A TensorFlow graph, its weights constants on a CPU.

    Rows of another shape than the example's are computed by the function itself, traced
    for them when they come.

    Args:
        graphs: `Graphs` of the function.
        dtype: dtype of the output, as a str; the arithmetic is the function's own.
    """

    name = "tensorflow"

    def __init__(self, graphs, dtype):
        super().__init__(graphs.example, dtype, "float32")
        leaves = self.take_leaves(graphs.example)
        self._shapes = shapes_of(leaves)
        self._graph = _build_graph(graphs, leaves)
        self._any_shape = tf.function(
            graphs.call_flat, reduce_retracing=True, autograph=False
        )
        # Whole batches keep a GPU busy.
        self._size = None if has_gpu() else choose_size(self._by_size, leaves)[0]

    def compute(self, leaves):
        """Return the output for the arrays of a batch, as a NumPy array."""
        if shapes_of(leaves) != self._shapes:
            return self._any_shape(*map(tf.constant, leaves)).numpy()
        size = self._size or max(1, len(leaves[0]))
        pieces = [
            self._graph(list(map(tf.constant, piece))).numpy()
            for _, _, piece in cut_rows(leaves, size)
        ]
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

    def close(self):
        """Let go of the graph."""
        self._graph = self._any_shape = None

    def _start(self, leaves):
        return Finished(self.compute(leaves))

    def _by_size(self, size):
        return lambda leaves: self._graph(list(map(tf.constant, leaves))).numpy()


def has_gpu():
    """Tell whether TensorFlow sees a GPU."""
    return bool(tf.config.list_physical_devices("GPU"))


def _build_graph(graphs, leaves):
    if not has_gpu():
        try:
            return graphs.freeze(leaves).run
        except EngineError:
            pass  # it can be run as it is
    traced = graphs.trace(leaves)
    return lambda tensors: traced(*tensors)
