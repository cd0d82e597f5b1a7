"""Whether a `tf.data` pipeline gives the same examples in every pass over it."""

import dataclasses
import re

import tensorflow as tf
from tensorflow.python.framework import op_def_registry  # no public name has `stateful`

UNKNOWN = "its steps cannot be looked into"
NUMBERS = "it draws random numbers"
# Steps that take, pair or group examples by their place: after a shuffle they do it
# differently in every pass.
BY_PLACE = {
    *("directed_interleave", "group_by_reducer", "group_by_window", "scan", "shard"),
    *("skip", "take", "take_while", "window", "zip"),
}
SHUFFLES = {"shuffle", "shuffle_and_repeat", "global_shuffle"}
# Stateful as TensorFlow says it, yet the same in every pass, or with functions inside
# that are looked into on their own.
HARMLESS = re.compile(
    r"(_Arg|_Retval|Assert|CheckNumerics(V2)?|Print(V2)?|_?If|_?While|Case|(Stateful)?PartitionedCall"
    r"|(Anonymous)?HashTable(V2)?|InitializeTable\w*|LookupTable(Find|Size|Export)V2"
    r"|Dummy\w+|Anonymous(MemoryCache|(Random)?SeedGenerator)|StatelessRandomGetAlg"
    r"|TensorArray\w*|Stack\w*|VarHandleOp|VariableShape|VarIsInitializedOp|GuaranteeConst"
    r"|DatasetToSingleElement|ReduceDataset|GroupByReducerDataset|CacheDatasetV2"
    r"|(Range|Tensor|TensorSlice|SparseTensorSlice|List|MatchingFiles|Load|LMDB|Sql"
    r"|TFRecord|TextLine|CSV|FixedLengthRecord|ListSnapshotChunks)Dataset(V2)?"
    r"|Shuffle(AndRepeat)?Dataset(V[23])?)"
)


@dataclasses.dataclass(frozen=True)
class DatasetFacts:
    """What decides whether stored results may stand for reading a dataset again.

    Attributes:
        shuffles: Whether the order of the examples differs from pass to pass.
        randomness: One line that says why the examples themselves may differ from pass
            to pass, or None where they do not.
        identity: `str` that is equal for equal examples in every process, or None.
    """

    shuffles: bool
    randomness: str | None
    identity: str | None


def inspect_dataset(dataset):
    """Find out whether every pass over a dataset gives the same examples.

    What the loaders of this package hang on their datasets (`shuffles`, `augmented`,
    `fingerprint`) is believed. Other pipelines are followed step by step down to their
    sources, into the functions of `map`, `filter` and `interleave`. Whatever lies
    below a `cache` that is read to its end counts as fixed, as it is in this process
    once the cache has been filled. A step that is not known to be harmless counts as
    random: this may cost time, never correctness.

    Not seen is a `map` after `shuffle` and `batch` that mixes the examples of a batch
    without random numbers, and a file that changes between two passes.

    Args:
        dataset: Any `tf.data.Dataset`, batched or not.

    Returns:
        `DatasetFacts`.

    Raises:
        TypeError: If `dataset` is something else.

    Example:

    >>> dataset = tf.data.Dataset.range(4).shuffle(4)
    >>> inspect_dataset(dataset)
    DatasetFacts(shuffles=True, randomness=None, identity=None)
    >>> inspect_dataset(dataset.map(lambda x: x + tf.random.uniform((), 0, 9, x.dtype)))
    DatasetFacts(shuffles=True, randomness='it draws random numbers', identity=None)
    """
    if not isinstance(dataset, tf.data.Dataset):
        raise TypeError(
            "`dataset` must be a tf.data.Dataset. Received: dataset of type "
            f"{type(dataset).__name__}. "
            "Make one with tf.data.Dataset.from_tensor_slices."
        )
    try:
        shuffles, randomness = _Walk(dataset).judge(dataset)
    except Exception:  # private names of TensorFlow may go or fail: then say so
        shuffles, randomness = True, UNKNOWN
    # Not getattr: TensorFlow's own datasets have a method of that name.
    identity = None if randomness else vars(dataset).get("fingerprint")
    return DatasetFacts(shuffles, randomness, identity)


class _Walk:
    """One walk from the end of a pipeline to its sources, each step judged once."""

    def __init__(self, dataset):
        self._may_reorder = dataset.options().deterministic is False
        self._judged = {}

    def judge(self, dataset, read_whole=True):
        """Return whether the order differs, and the reason why examples do, or None."""
        key = id(dataset), read_whole
        if key not in self._judged:
            self._judged[key] = self._judge(dataset, read_whole)
        return self._judged[key]

    def _judge(self, dataset, read_whole):
        told = vars(dataset)
        if "shuffles" in told and "augmented" in told:  # one of this package's loaders
            usual = "it changes images at random" if told["augmented"] else None
            return bool(told["shuffles"]), told.get("randomness", usual)
        step = step_name(type(dataset).__name__)
        if step == "cache" and read_whole:
            return False, None
        feeding = sources(dataset)
        read_whole = read_whole and not _may_stop_early(dataset, step, len(feeding))
        below = [self.judge(source, read_whole) for source in feeding]
        shuffles = any(shuffled for shuffled, _ in below)
        reasons = [reason for _, reason in below if reason]
        own_shuffles, own_reason = self._judge_step(dataset, step)
        if shuffles and not own_reason and _depends_on_order(dataset, step, len(below)):
            own_reason = f"`{step}` after a shuffle gives other examples in every pass"
        return shuffles or own_shuffles, next(iter([*reasons, own_reason]), None)

    def _judge_step(self, dataset, step):
        """Judge what one step does by itself, its functions included."""
        if not type(dataset).__module__.startswith("tensorflow.python.data."):
            return True, UNKNOWN
        if step in ("data_service", "remote"):
            return True, UNKNOWN
        if step == "random":
            return False, None if _repeats_itself(dataset) else NUMBERS
        if step == "variant":  # what lies behind it has no Python object
            return judge_graph(_graph_of(dataset))
        judged = [judge_graph(graph) for graph in function_graphs(dataset)]
        shuffles = any(shuffled for shuffled, _ in judged) or self._reorders(dataset)
        if step in SHUFFLES:
            shuffles = reshuffles(dataset)
        return shuffles, next((reason for _, reason in judged if reason), None)

    def _reorders(self, dataset):
        """Whether a parallel step may hand on its results as they come."""
        kind = type(dataset).__name__
        if "Parallel" not in kind and "MapAndBatch" not in kind:
            return False
        setting = getattr(dataset, "_deterministic", None)
        if setting is None:  # an interleave does not keep what it was told
            nodes = _all_nodes(_graph_of(dataset))
            setting = "false" if any(map(_is_sloppy, nodes)) else "default"
        return setting == "false" or (setting == "default" and self._may_reorder)


def step_name(kind):
    """Turn the name of a class, `_ParallelMapDataset` or `MapDatasetV2`, into `map`."""
    kind = re.sub(r"^_|Dataset(V\d)?$", "", kind).removeprefix("Parallel")
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", kind).lower()


def reshuffles(dataset):
    """Whether a step that shuffles takes another order at each opening."""
    return getattr(dataset, "_reshuffle_each_iteration", None) is not False


def sources(dataset):
    """Datasets that feed this one, those of readers inside it too."""
    found = list(dataset._inputs())
    for name, value in vars(dataset).items():
        if name.startswith("_") and isinstance(value, tf.data.Dataset):
            found.append(value)
    return list({id(source): source for source in found}.values())


def _may_stop_early(dataset, step, num_sources):
    """Whether a cache below is never read to its end, and so never filled."""
    if step == "take":
        count, available = (
            int(dataset._count),
            int(dataset._input_dataset.cardinality()),
        )
        return not (count < 0 or 0 <= available <= count)
    stops = ("take_while", "directed_interleave", "variant")
    return step in stops or (step == "zip" and num_sources > 1)


def _depends_on_order(dataset, step, num_sources):
    if step in ("take", "zip"):
        return _may_stop_early(dataset, step, num_sources)
    if step == "skip":
        return int(dataset._count) != 0
    if "padded" in step:
        return not _has_fixed_shapes(dataset)
    return step in BY_PLACE or _drops_some(dataset)


def _has_fixed_shapes(dataset):
    specs = tf.nest.flatten(dataset.element_spec)
    return all(spec.shape[1:].is_fully_defined() for spec in specs)


def _drops_some(dataset):
    if not bool(getattr(dataset, "_drop_remainder", False)):
        return False
    size = getattr(dataset, "_batch_size", None)
    available = int(dataset._input_dataset.cardinality())
    return size is None or available < 0 or available % int(size) != 0


def _repeats_itself(dataset):
    # Both seeds zero stand for a seed drawn at every start.
    is_seeded = int(dataset._seed) != 0 or int(dataset._seed2) != 0
    return is_seeded and not dataset._rerandomize


def function_graphs(dataset):
    """Graphs of the functions that a step of a pipeline calls."""
    known = {id(function): function for function in dataset._functions()}
    for value in vars(dataset).values():
        if hasattr(value, "output_structure") and hasattr(value, "function"):
            known[id(value)] = value  # not every step tells of all its functions
    return [function.function.graph.as_graph_def() for function in known.values()]


def _graph_of(dataset):
    """Graph of a whole pipeline as TensorFlow itself would send it elsewhere."""
    policy = tf.data.experimental.ExternalStatePolicy.IGNORE
    serialized = dataset._as_serialized_graph(external_state_policy=policy)
    return tf.compat.v1.GraphDef.FromString(serialized.numpy())


def _all_nodes(graph):
    inner = [node for function in graph.library.function for node in function.node_def]
    return [*graph.node, *inner]


def _is_sloppy(node):
    return node.attr["deterministic"].s == b"false" or node.attr["sloppy"].b


def _reshuffles(node):
    steps = step_name(node.op)
    if not node.op.endswith(("Dataset", "V2", "V3")) or steps not in SHUFFLES:
        return False
    attribute = node.attr.get("reshuffle_each_iteration")
    return attribute is None or attribute.b


def judge_graph(graph):
    """Return whether what a graph makes has changing orders, and why it differs.

    Args:
        graph: `GraphDef`.

    Returns:
        `bool`, and one line or None.
    """
    nodes = _all_nodes(graph)
    kinds = {node.op for node in nodes}
    own = {function.signature.name for function in graph.library.function}
    shuffles = any(map(_reshuffles, nodes)) or any(map(_is_sloppy, nodes))
    unsteady = sorted(kind for kind in kinds - own if not _is_steady(kind))
    is_random = any(re.search("Random|Rng|Multinomial|Normal$", kind) for kind in kinds)
    reason = _reason(unsteady, is_random) if unsteady else None
    by_place = sorted(BY_PLACE & {step_name(k) for k in kinds if "Dataset" in k})
    if shuffles and by_place and not reason:
        reason = f"`{by_place[0]}` after a shuffle gives other examples in every pass"
    return shuffles, reason


def _is_steady(kind):
    if kind.startswith(("RandomDataset", "ExperimentalRandomDataset")):
        return False
    operation = op_def_registry.get(kind)
    if operation is None or HARMLESS.fullmatch(kind):
        return operation is not None
    return not operation.is_stateful


def _reason(kinds, is_random):
    """Say why a function with these unsteady operations gives varying results."""
    if "GeneratorDataset" in kinds:
        return "it reads a Python generator"
    if {"PyFunc", "EagerPyFunc"} & set(kinds):
        return "it runs Python code, which cannot be looked into"
    reads = {"ReadVariableOp", "ResourceGather"}
    if is_random and not reads >= set(kinds):  # Keras' layers move a seed they keep
        return NUMBERS
    if any(re.search("Assign|Resource(Scatter|Apply)", kind) for kind in kinds):
        return "it changes a variable"
    if reads & set(kinds):
        return "it reads a variable, which may change"
    return f"it keeps a state of its own ({kinds[0]})"
