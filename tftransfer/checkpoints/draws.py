"""The steps of a `tf.data` pipeline that draw anew whenever they are opened."""

from tftransfer.features.datasets import (
    SHUFFLES,
    UNKNOWN,
    function_graphs,
    judge_graph,
    reshuffles,
    sources,
    step_name,
)


def find_draws(dataset):
    """Find the steps that draw an order, or numbers, at each opening.

    Args:
        dataset: `tf.data.Dataset`.

    Returns:
        List of `tf.data.Dataset`. Opening one of them draws for this one alone: what
        lies below a shuffle is opened when it is first read.

    Example:

    >>> numbers = tf.data.Dataset.range(9).shuffle(9, seed=3).batch(2)
    >>> len(find_draws(numbers.shuffle(2, seed=1))), len(find_draws(numbers.take(1)))
    (2, 1)
    """
    return [step for step in walk(dataset) if _draws(step)]


def describe_dataset(dataset):
    """Describe a dataset as far as can be told without reading it, as JSON.

    The seeds are those that TensorFlow makes of the one given and the global one.
    """
    fingerprint = vars(dataset).get("fingerprint")  # `tf.data` has such a method
    return {
        "elements": str(dataset.element_spec),
        "fingerprint": fingerprint if isinstance(fingerprint, str) else None,
        "seeds": [[int(x._seed), int(x._seed2)] for x in find_draws(dataset)],
    }


def find_doubt(dataset):
    """Say why two equal openings of equal pipelines might differ, or return `None`.

    Args:
        dataset: `tf.data.Dataset`. What our loaders make has seeds of its own.

    Example:

    >>> numbers = tf.data.Dataset.range(9)
    >>> find_doubt(numbers.shuffle(9, seed=3)) is None
    True
    >>> find_doubt(numbers.shuffle(9))
    'it shuffles without a seed'
    """
    parts = vars(dataset).get("parts")
    if parts is not None:  # of `pair_domains`, which are paired anew
        if any(int(part.cardinality()) < 0 for part in parts):
            return "one of its domains does not know its number of batches"
        doubts = map(find_doubt, parts)
        return next((doubt for doubt in doubts if doubt), None)
    try:
        reasons = [_doubt(step) for step in walk(dataset, past_loaders=False)]
    except Exception:  # private names of TensorFlow may go or fail: then say so
        return UNKNOWN
    return next((reason for reason in reasons if reason), None)


def walk(dataset, past_loaders=True):
    """Return all steps of a pipeline, each once."""
    found: dict = {}
    waiting = [dataset]
    while waiting:
        step = waiting.pop()
        if id(step) in found:
            continue
        found[id(step)] = step
        if past_loaders or not _is_loader(step):
            waiting += sources(step)
    return list(found.values())


def _is_loader(step):
    told = vars(step)
    return {"shuffles", "augmented"} <= set(told) or "holds_stored_rows" in told


def _draws(step):
    name = step_name(type(step).__name__)
    if name in SHUFFLES:
        return reshuffles(step)
    return name == "random" and bool(step._rerandomize)


def _doubt(step):
    if _is_loader(step):
        return None
    name = step_name(type(step).__name__)
    if not type(step).__module__.startswith("tensorflow.python.data."):
        return UNKNOWN
    if name in ("data_service", "remote", "variant"):
        return UNKNOWN
    if name in SHUFFLES or name == "random":
        seeds = getattr(step, "_seed", None), getattr(step, "_seed2", None)
        is_seeded = any(seed is not None and int(seed) != 0 for seed in seeds)
        what = "draws random numbers" if name == "random" else "shuffles"
        return None if is_seeded else f"it {what} without a seed"
    if step.options().deterministic is False:
        return "its steps may hand on their results as they come"
    judged = [judge_graph(graph) for graph in function_graphs(step)]
    if any(shuffles for shuffles, _ in judged):
        return f"it shuffles inside `{name}`"
    if name == "repeat" and any(map(_draws, walk(step))):
        return "it repeats what it shuffles"
    return next((reason for _, reason in judged if reason), None)
