"""Features of which a part is sparse, such as tf-idf beside a network, as a matrix."""

import keras
import numpy as np
import tensorflow as tf

from tftransfer.acceleration.parts import CannotStore
from tftransfer.checks import import_optional
from tftransfer.features.examples import read_examples
from tftransfer.features.extraction import ACTIVATIONS, Extraction
from tftransfer.freezing.graph import graph_of, read_graph
from tftransfer.freezing.parts import output_cut, run_calls

_ROWS = 256  # joined at a time
_BATCH = 32  # of what a network reads, as in `fit`


def takes_sparse(model, layer):
    """Whether a layer of a functional model takes a sparse tensor."""
    return _maker(read_graph(graph_of(model)).calls, layer)[1].sparse


class SparseFeatures:
    """What a layer takes, where it is sparse: computed as a matrix of `scipy.sparse`.

    What networks make of the texts is computed by the fastest engine and stored, texts
    of one length together; sparse parts are computed as they are read.

    Args:
        model: Functional `keras.Model` of strings.
        layer: The layer, on top of the model.
        fast_path: `FastPath`, which tells engine, store and where to report.

    Raises:
        CannotStore: If a part is made by more than what can be cut out.
    """

    def __init__(self, model, layer, fast_path):
        self._model, self._fast_path = graph_of(model), fast_path
        graph = read_graph(self._model)
        self._key, tensor = _maker(graph.calls, layer)
        tensors, self._above = _unjoin(graph.calls, self._key, tensor)
        self._keys, parts = list(tensors), list(tensors.values())
        try:
            self._parts = [keras.Model(self._model.inputs, part) for part in parts]
        except (ValueError, KeyError) as error:
            raise CannotStore(
                f"the parts of {layer.name!r} lie inside a nested model"
            ) from error
        self._is_sparse = [part.sparse for part in parts]

    def read(self, part):
        """Read data once.

        Args:
            part: `Part` of one domain, its labels in one array.

        Returns:
            Object array of texts, array of labels, and of weights or `None`.

        Raises:
            CannotStore: If the data are of another kind.
        """
        (examples,), columns = part.examples[:1], None
        if len(part.examples) > 1:
            raise CannotStore("the data are pairs of two domains")
        for x, rest in examples.batches():
            leaves = [np.asarray(leaf) for leaf in keras.tree.flatten((x, rest))]
            columns = [[] for _ in leaves] if columns is None else columns
            for column, leaf in zip(columns, leaves, strict=True):
                column.append(leaf)
        if columns is None or len(columns) not in (2, 3):
            raise CannotStore("the data are not texts with one label each")
        texts, labels, *weights = map(np.concatenate, columns)
        return texts.ravel(), labels, weights[0] if weights else None

    def matrix(self, texts):
        """Return the features of texts as a `scipy.sparse.csr_array`, float32.

        Raises:
            CannotStore: If a network cannot be run, or its features be stored.
            ImportError: If SciPy, which comes with scikit-learn, is missing.
        """
        needs = "Solving a linear head needs scikit-learn"
        (sparse,) = import_optional("scipy.sparse", needs=needs, extra="demo")
        stored = [
            None if is_sparse else self._extract(part, texts)
            for part, is_sparse in zip(self._parts, self._is_sparse, strict=True)
        ]
        join = tf.function(self._join, reduce_retracing=True)
        blocks = []
        for start in range(0, len(texts), _ROWS):
            rows = slice(start, start + _ROWS)
            given = [None if x is None else tf.constant(x[rows]) for x in stored]
            found = join(tf.constant(texts[rows]), given)
            places = found.indices.numpy().T.astype("int32")
            values = found.values.numpy()
            blocks.append(sparse.csr_array((values, tuple(places)), shape=found.shape))
        return sparse.vstack(blocks, format="csr")

    def _join(self, texts, given):
        texts = tf.reshape(texts, [-1, *self._model.inputs[0].shape[1:]])
        known = {
            key: part(texts, training=False) if rows is None else rows
            for key, part, rows in zip(self._keys, self._parts, given, strict=True)
        }
        run_calls(self._above, known, training=False)
        return known[self._key]

    def _extract(self, part, texts):
        """Run a network over texts, short ones first; return rows in their order."""
        cut = output_cut(part)
        if cut is None:
            raise CannotStore("the output of a network cannot be cut")
        order = sorted(range(len(texts)), key=lambda i: (len(texts[i]), texts[i]))
        shape = (-1, *part.inputs[0].shape[1:])
        data = tf.data.Dataset.from_tensor_slices(np.reshape(texts[order], shape))
        settings = self._fast_path.settings
        extraction = Extraction(
            cut,
            engine=settings.engine,
            folder=settings.folder,
            most_bytes=settings.most_bytes,
            report=self._fast_path.report,
        )
        try:
            entry = extraction.run(read_examples(data.batch(_BATCH)))
            rows = np.empty(entry.arrays[ACTIVATIONS].shape, "float32")
            rows[order] = entry.arrays[ACTIVATIONS][:]
            entry.close()
        except (RuntimeError, TypeError, ValueError, OSError) as error:
            raise CannotStore(f"{error}".rstrip(".")) from error
        finally:
            extraction.close()
        return rows


def _maker(calls, layer):
    """Key and tensor of what a layer takes."""
    call = next(call for call in calls if call.operation is layer)
    return call.inputs[0], call.node.input_tensors[0]


def _unjoin(calls, key, tensor):
    """Dict from key to tensor of what is joined, and the calls that join it.

    Where nothing is joined it is the tensor itself, and there are no calls.
    """
    makers = {out: call for call in calls for out in call.outputs}
    above: list = []
    found = {key: tensor}
    while len(found) == 1 and key in makers:
        inputs = makers[key].node.input_tensors
        if not any(x.sparse for x in inputs):
            break
        above.insert(0, makers[key])
        found = dict(zip(makers[key].inputs, inputs, strict=True))
        key = next(iter(found))
    return found, above
