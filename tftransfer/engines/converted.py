"""What engines have in common that run a converted copy of the graph."""

import collections
import math
import time

from tftransfer.engines.frozen_graph import split_at_resizing
from tftransfer.engines.interface import Engine, Finished, shapes_of
from tftransfer.engines.tensorflow_graph import TensorFlowEngine

MOST_SHAPES = 16
# Seconds that rows of a new shape are left to TensorFlow before the graph is converted
# for them too: about what the conversion costs.
PATIENCE = 4.0


class ConvertedEngine(Engine):
    """An engine whose graph is made for rows of one shape.

    The graph is converted for the shape of the example. Other shapes (texts of another
    length, images of another size) go through TensorFlow first; one that comes often
    enough to be worth it is converted as well, and the least recently used of many is
    forgotten.

    Args:
        graphs: `Graphs` of the function.
        dtype: dtype of the output, as a str.
        precision: dtype of the arithmetic, as a str.
    """

    def __init__(self, graphs, dtype, precision):
        super().__init__(graphs.example, dtype, precision)
        self._graphs = graphs
        self._tensorflow = None
        self._seconds: dict = collections.defaultdict(float)
        self._programs = collections.OrderedDict()
        leaves = self.take_leaves(graphs.example)
        program = self._programs[shapes_of(leaves)] = self._convert(leaves)
        # Small batches on many cores: enough of them that no core waits.
        wanted = math.ceil(2 * program.rows_at_once / len(leaves[0]))
        self.ahead = max(self.ahead, wanted)

    def close(self):
        """Let go of the converted graphs."""
        for program in self._programs.values():
            program.close()
        self._programs.clear()

    def _start(self, leaves):
        shapes = shapes_of(leaves)
        if shapes not in self._programs and self._seconds[shapes] < PATIENCE:
            return self._leave_to_tensorflow(leaves, shapes)
        if shapes not in self._programs:
            self._programs[shapes] = self._convert(leaves)
            while len(self._programs) > MOST_SHAPES:
                forgotten, program = self._programs.popitem(last=False)
                program.close()
                self._seconds[forgotten] = 0.0
        self._programs.move_to_end(shapes)
        return self._programs[shapes].start(leaves)

    def _leave_to_tensorflow(self, leaves, shapes):
        if self._tensorflow is None:
            self._tensorflow = TensorFlowEngine(self._graphs, "float32")
        started = time.perf_counter()
        result = self._tensorflow.compute(leaves)
        self._seconds[shapes] += time.perf_counter() - started
        return Finished(result)

    def _convert(self, leaves):
        frozen = split_at_resizing(self._graphs.freeze(leaves))
        program = self._compile(frozen, frozen.prepare(leaves))
        return Prepared(frozen, program) if frozen.before else program

    def _compile(self, frozen, leaves):
        """Return a program.

        It has `rows_at_once`, `start(leaves)`, which returns an object that has a
        `result()`, and `close()`.
        """
        raise NotImplementedError


class Prepared:
    """A program behind the part of the graph that TensorFlow computes.

    Args:
        frozen: A `FrozenGraph` with `before`.
        program: What runs the rest.
    """

    def __init__(self, frozen, program):
        self._frozen = frozen
        self._program = program
        self.rows_at_once = program.rows_at_once

    def start(self, leaves):
        """Resize the rows, then hand them on."""
        return self._program.start(self._frozen.prepare(leaves))

    def close(self):
        """Close the program."""
        self._program.close()
