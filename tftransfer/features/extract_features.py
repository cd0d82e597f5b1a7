"""Features of a dataset, computed once and kept on disk."""

from typing import NamedTuple

import keras
import tensorflow as tf

from tftransfer.checks import check_choice
from tftransfer.cluster.ray_cluster import check_cluster
from tftransfer.engines.interface import DTYPES
from tftransfer.features.examples import read_examples
from tftransfer.features.extraction import ACTIVATIONS, Extraction
from tftransfer.freezing.graph import graph_of
from tftransfer.freezing.parts import single_tensor_cuts
from tftransfer.store.sharded import ShardedArray


class _Pair(NamedTuple):
    features: ShardedArray
    labels: object = None


class Features(_Pair):
    """What `extract_features` gives: the pair `features, labels`.

    Attributes:
        features: Array `(rows, ...)`, read from disk where it is used; `np.asarray`
            loads it.
        labels: Array `(rows, ...)`, a structure of arrays, or `None` without labels.
        sample_weight: Array `(rows,)`, or `None`; not part of the pair.
    """

    sample_weight: object = None


def extract_features(
    model,
    dataset,
    layer=None,
    *,
    engine="auto",
    dtype="float32",
    directory=None,
    batch_size=32,
    cluster=None,
    verbose="auto",
):
    """Compute what a network makes of every example, once.

    The rows are kept on disk, found again by the network's weights and the data, and
    so cost nothing the second time. The fastest engine at hand is used: see
    `choose_engine`. Examples are read in their own order, without shuffling or
    augmentation where the dataset comes from a loader of this package.

    Args:
        model: Functional or Sequential `keras.Model`, a wrapper that has one as
            `.model`, or what `load_backbone` returned.
        dataset: Batched `tf.data.Dataset` of `x`, `(x, y)` or `(x, y, sample_weight)`,
            `keras.utils.PyDataset`, an array, or a tuple of arrays.
        layer: Name of the layer or operation whose output is wanted, one that carries
            everything from input to output; `None`: the layer named `features`, or
            else the model's output.
        engine: `"auto"`, `"tensorflow"`, `"openvino"`, `"onnx"` or `"jax"`.
        dtype: `"float32"`, `"float16"` or `"bfloat16"`, of the computation where an
            engine is faster in it, and of the rows on disk. bfloat16 rows are read as
            float32.
        directory: Folder of the store; `None` takes `TFTRANSFER_CACHE` or the cache
            folder of the platform.
        batch_size: Rows in a batch, where arrays are given.
        cluster: `RayCluster` whose workers read and compute; this process keeps the
            rows. Data must be arrays, or come from a loader of images, whose files
            every worker sees under the same paths. `None`: this process does it all.
        verbose: `0` for silence; otherwise progress and the rate are shown.

    Returns:
        `Features`, a tuple `(features, labels)` with attribute `sample_weight`.

    Raises:
        ValueError: If `layer` is no place where one tensor carries everything, the
            data are empty, or the model has no graph.
        TypeError: If an argument has the wrong type.
        EngineError: If the engine asked for cannot run the network.
        RuntimeError: If a worker of `cluster` failed; what was computed is kept.

    Example:

    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    >>> images, labels = np.ones((3, 4), "float32"), np.array([0, 1, 0])
    >>> rows = tft.extract_features(model, (images, labels), verbose=0)
    >>> rows.features.shape, np.asarray(rows.labels).tolist()
    ((3, 2), [0, 1, 0])
    """
    check_choice("dtype", dtype, DTYPES)
    check_cluster(cluster)
    return extract_at(
        _find_cut(graph_of(getattr(model, "model", model)), layer),
        dataset,
        engine=engine,
        dtype=dtype,
        directory=directory,
        batch_size=batch_size,
        verbose=verbose,
        cluster=cluster,
    )


def extract_at(
    cut, dataset, *, engine, dtype, directory, batch_size, verbose, cluster=None
):
    """Compute what is below a `Cut` for every example: see `extract_features`."""
    return extract_all(
        cut,
        [read_in_order(dataset, batch_size)],
        engine=engine,
        dtype=dtype,
        directory=directory,
        verbose=verbose,
        cluster=cluster,
    )[0]


def read_in_order(dataset, batch_size):
    """Return data as `Examples`, those of our loaders unshuffled and unchanged."""
    if isinstance(dataset, tf.data.Dataset):
        dataset = vars(dataset).get("unshuffled", dataset)
    return read_examples(dataset, batch_size=batch_size)


def extract_all(cut, several, *, engine, dtype, directory, verbose, cluster=None):
    """Compute what is below a `Cut` for several `Examples`, with one engine.

    Returns:
        List of `Features`, one for each of `several`.
    """
    extraction = Extraction(
        cut,
        engine=engine,
        dtype=dtype,
        folder=directory,
        report=print if verbose else None,
        cluster=cluster,
    )
    try:
        entries = [extraction.run(examples) for examples in several]
    finally:
        extraction.close()
    return [
        _as_features(entry, examples.rest)
        for entry, examples in zip(entries, several, strict=True)
    ]


def _as_features(entry, structure):
    rest = [entry.arrays[name] for name in entry.arrays if name != ACTIVATIONS]
    packed = keras.tree.pack_sequence_as(structure, rest)
    features = Features(entry.arrays[ACTIVATIONS], *packed[:1])
    features.sample_weight = packed[1] if len(packed) > 1 else None
    return features


def _find_cut(model, layer):
    cuts = single_tensor_cuts(model, with_output=True)
    names = [cut.name for cut in cuts]
    wanted = layer or ("features" if "features" in names else None)
    if wanted is None and cuts:
        return cuts[-1]
    if wanted not in names:
        raise ValueError(
            "`layer` must be the name of a layer whose output alone carries everything "
            f"from input to output. Received: layer={layer!r}. Such layers, the last "
            f"ones: {names[-8:]}."
        )
    return cuts[names.index(wanted)]
