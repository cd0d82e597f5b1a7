"""Networks that read the same texts side by side, each in the engine that suits it."""

import itertools

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from tftransfer.engines.interface import DTYPES
from tftransfer.features.by_length import find_tokens
from tftransfer.freezing.parts import output_cut, run_calls


def find_networks(cut):
    """Find the networks on texts whose results are joined below a cut.

    Args:
        cut: `Cut`.

    Returns:
        Dict from the key of a tensor in the cut's graph to the `Cut` at the output of
        a model of its own that makes it; empty where there is nothing of the kind.
    """
    if [tensor.dtype for tensor in cut.model.inputs] != ["string"]:
        return {}
    joins = [call for call in cut.calls_below if len(set(call.inputs)) > 1]
    if not joins:
        return {}
    found = {}
    for key, tensor in zip(joins[-1].inputs, joins[-1].node.input_tensors, strict=True):
        part = None if tensor.sparse else _end_at(cut.model, tensor)
        if part is not None and find_tokens(part) is not None:
            found[key] = part
    return found


def _end_at(model, tensor):
    try:
        return output_cut(keras.Model(model.inputs, tensor))
    except (ValueError, KeyError):  # it lies inside a nested model
        return None


class SideBySide:
    """An engine on texts that runs networks by theirs and the rest in TensorFlow.

    Args:
        cut: `Cut` whose tensor is computed.
        networks: Dict as of `find_networks`.
        engines: Dict from the same keys to what runs them on texts.
        dtype: dtype of the results, as a str.
    """

    def __init__(self, cut, networks, engines, dtype):
        self._cut, self._engines = cut, engines
        self._dtype = DTYPES[dtype]
        self._dtypes = [part.tensor.dtype for part in networks.values()]
        makers = {key: call for call in cut.calls_below for key in call.outputs}
        needed: set = set()
        waiting = [cut.calls_below[-1].outputs[0], *cut.along]
        while waiting:
            key = waiting.pop()
            if key in networks or key not in makers or key in needed:
                continue
            needed.update(makers[key].outputs)
            waiting.extend(makers[key].inputs)
        self._calls = [call for call in cut.calls_below if call.outputs[0] in needed]
        self._rest = tf.function(self._run_rest, reduce_retracing=True)

    @property
    def name(self):
        """Name of the engine that runs the first network."""
        return next(iter(self._engines.values())).name

    def close(self):
        """Give back what the engines hold."""
        for engine in self._engines.values():
            engine.close()

    def run(self, batches):
        """Yield results, an array with a row for each text, batch after batch.

        Args:
            batches: Iterable of arrays of texts, `str` or `bytes`.
        """
        texts, *copies = itertools.tee(batches, 1 + len(self._engines))
        engines = self._engines.values()
        streams = [
            engine.run(copy) for engine, copy in zip(engines, copies, strict=True)
        ]
        for batch, *rows in zip(texts, *streams, strict=True):
            given = tf.constant(np.asarray(batch).astype(object))
            output = self._rest(given, [tf.constant(x) for x in rows]).numpy()
            yield output.astype(self._dtype)

    def _run_rest(self, texts, rows):
        values = self._cut.model._standardize_inputs(texts)
        known = dict(zip(self._cut.graph.inputs, values, strict=True))
        for key, x, dtype in zip(self._engines, rows, self._dtypes, strict=True):
            known[key] = ops.cast(x, dtype)
        run_calls(self._calls, known, training=False)
        return self._cut.pack(known)
