"""The engine under Keras' JAX backend: a compiled function on whatever JAX has."""

from typing import Any

import numpy as np

from tftransfer.engines.interface import Engine, fill_rows, shapes_of


class JAXEngine(Engine):
    """A function compiled by JAX.

    JAX compiles for every number of rows anew, so a shorter batch is filled up to the
    longest one met.

    Args:
        function: Callable on one batch of tensors that returns one tensor.
        example: Batch of real rows.
        dtype: dtype of the output, as a str; the arithmetic is the function's own.
    """

    name = "jax"

    def __init__(self, function, example, dtype):
        import jax

        super().__init__(example, dtype, "float32")
        structure = self._example
        self._pack = lambda leaves: jax.tree.unflatten(
            jax.tree.structure(structure), leaves
        )
        self._compiled: Any = jax.jit(lambda *leaves: function(self._pack(leaves)))
        self._longest = {}

    def close(self):
        """Let go of the compiled function."""
        self._compiled = None

    def _start(self, leaves):
        shapes, num_rows = shapes_of(leaves), len(leaves[0])
        size = self._longest[shapes] = max(self._longest.get(shapes, 0), num_rows)
        # The call returns before the work is done; meanwhile the next is prepared.
        return _Pending(self._compiled(*fill_rows(leaves, size)), num_rows)


class _Pending:
    def __init__(self, output, num_rows):
        self._output = output
        self._num_rows = num_rows

    def result(self):
        return np.asarray(self._output)[: self._num_rows]
