"""The frozen part of a model, run over data by the workers of a cluster."""

import functools
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tftransfer.engines.choosing import choose_engine
from tftransfer.features.below import run_below
from tftransfer.features.examples import ArrayExamples
from tftransfer.freezing.parts import single_tensor_cuts

_ROWS_AT_ONCE = 256  # of a piece of work, to the next whole batch


def share_out(cluster, cut, examples, *, engine, dtype, skip):
    """Yield what the workers of a cluster make of examples, piece after piece.

    Args:
        cluster: `RayCluster`.
        cut: `Cut` below which they run the model.
        examples: `Examples`.
        engine: Name of the engine.
        dtype: dtype of the results, as a str.
        skip: Rows to leave out.

    Yields:
        Tuple: activations `(n, ...)`, list of the leaves of labels and weights, and
        list of the sizes of batches, with what was left out.

    Raises:
        ValueError: If the workers could not read the examples.
        RuntimeError: If a worker failed.
    """
    pieces, prepare = _cut_up(examples, skip)
    # Before the model, so that a worker knows layers that are not Keras' own.
    classes = tuple({type(layer) for layer in cut.model._flatten_layers()})
    plain = keras.Model(cut.model.inputs, cut.model.outputs)  # not compiled
    places = [each.position for each in single_tensor_cuts(plain, with_output=True)]
    number = places.index(cut.position)
    given = (classes, plain, number, cut.name, engine, dtype, prepare)
    begin = functools.partial(_begin, *given)
    return cluster.map_in_order(begin, pieces)


def check_shareable(examples):
    """Raise `ValueError` unless workers can read examples by themselves."""
    is_readable = hasattr(getattr(examples, "dataset", None), "sources")
    if not is_readable and not isinstance(examples, ArrayExamples):
        raise ValueError(
            "`dataset` must be arrays, or come from a loader of images (load_folder, "
            "load_table, load_tfds, load_elpv), for the workers of a cluster to read "
            "it. Received: data of another kind. Leave cluster out, or load them so."
        )


def _cut_up(examples, skip):
    """Return pieces `(number of rows to leave out, arrays)`, and what reads them."""
    size = examples.batch_size
    step = size * max(1, _ROWS_AT_ONCE // size)
    if isinstance(examples, ArrayExamples):
        return _cut_arrays(examples.arrays, step, skip), _Slices(size)
    sources = examples.dataset.sources.batch(step)
    pieces: list = []
    for number, piece in enumerate(sources.as_numpy_iterator()):
        left_out = max(0, skip - number * step)
        if left_out < len(keras.tree.flatten(piece)[0]):
            pieces.append((left_out, piece))
    return pieces, examples.dataset.prepare


def _cut_arrays(arrays, step, skip):
    total = len(keras.tree.flatten(arrays)[0])
    pieces = []
    for start in range(skip // step * step, total, step):
        rows = slice(start, start + step)
        piece = keras.tree.map_structure(lambda x, r=rows: x[r], arrays)
        pieces.append((max(0, skip - start), piece))
    return pieces if skip < total else []


class _Slices:
    """Makes batches of arrays, as `ArrayExamples` does."""

    def __init__(self, batch_size):
        self._batch_size = batch_size

    def __call__(self, arrays):
        for x, rest in ArrayExamples(arrays, self._batch_size).batches():
            yield (x, *rest)


def _begin(classes, model, number, name, engine, dtype, prepare):
    """Return what answers a piece in a worker."""
    cut = single_tensor_cuts(model, with_output=True)[number]
    if cut.name != name:
        raise ValueError(
            f"The model must be the same in a worker. Received: {cut.name!r} in the "
            f"place of {name!r}. Install the same versions on every machine."
        )
    return _Answers(cut, engine, dtype, prepare)


class _Answers:
    def __init__(self, cut, engine, dtype, prepare):
        self._cut, self._dtype, self._prepare = cut, dtype, prepare
        self._choose = functools.partial(_choose, engine=engine, dtype=dtype)
        self._engine: Any = None

    def __call__(self, piece):
        """Return what `share_out` yields for a piece."""
        left_out, rows = piece
        if not isinstance(self._prepare, _Slices):
            rows = tf.data.Dataset.from_tensor_slices(rows)
        inputs, rests, sizes = [], [], []
        for batch in self._prepare(rows):
            batch = keras.tree.map_structure(np.asarray, batch)
            x, *rest = batch if isinstance(batch, tuple) else (batch,)
            sizes.append(len(keras.tree.flatten(x)[0]))
            kept = slice(min(left_out, sizes[-1]), None)
            left_out = max(0, left_out - sizes[-1])
            if kept.start == sizes[-1]:
                continue
            inputs.append(keras.tree.map_structure(lambda a, k=kept: a[k], x))
            rests.append([leaf[kept] for leaf in keras.tree.flatten(rest)])
        found = np.concatenate(list(self._run(inputs)))
        leaves = [np.concatenate(column) for column in zip(*rests, strict=True)]
        return found, leaves, sizes

    def _run(self, inputs):
        if self._engine is None:
            given = (self._cut, None, inputs[0], self._dtype, self._choose)
            self._engine = run_below(*given)
        return self._engine.run(iter(inputs))


def _choose(function, example, key, *, engine, dtype):
    return choose_engine(
        function, example, engine=engine, dtype=dtype, report=lambda line: None
    )
