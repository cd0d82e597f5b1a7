"""Networks side by side: the strands of a graph that meet only at its end."""

import itertools

import keras


def split_strands(calls, outputs):
    """Split calls into the networks whose features the last call joins.

    Strands have no layer with weights in common; they may share what leads to the
    first of those, such as an input. What has no weights at all, such as counts of
    words beside a network, is no strand of its own.

    Args:
        calls: List of `Call`, each after all it reads.
        outputs: Set of the keys that are read elsewhere.

    Returns:
        List of pairs, the calls of a strand in their order, each call in one strand
        only, and the set of the keys that leave it; and the list of all other calls.
        Where nothing is joined there is one strand with all calls.

    Example:

    >>> from tftransfer.freezing.graph import list_calls
    >>> inputs = keras.Input((4,))
    >>> one, two = (keras.layers.Dense(2, name=name)(inputs) for name in ("a", "b"))
    >>> added = keras.layers.Add()([one, two])
    >>> strands, others = split_strands(*list_calls(keras.Model(inputs, added)))
    >>> [[call.operation.name for call in strand] for strand, _ in strands]
    [['a'], ['b']]
    """
    joined = _joined_keys(calls)
    ancestors = {key: _ancestors(calls, key) for key in joined}
    groups = _group([(key, _learning(calls, ancestors[key])) for key in joined])
    if len(joined) < 2 or not groups or len(groups[0]) == len(joined):
        return [(calls, outputs)], []
    strands = []
    taken: set[int] = set()
    for keys in groups:
        places = set().union(*(ancestors[key] for key in keys)) - taken
        taken |= places
        strands.append(([calls[i] for i in sorted(places)], set(keys)))
    return strands, [call for i, call in enumerate(calls) if i not in taken]


def take_turns(sequences):
    """Interleave sequences from their ends: the last of each come last.

    Example:

    >>> take_turns([["a1", "a2", "a3"], ["b1"]])
    ['a1', 'a2', 'a3', 'b1']
    """
    turns = itertools.zip_longest(*map(reversed, reversed(sequences)))
    backwards = [x for turn in turns for x in turn if x is not None]
    return backwards[::-1]


def _joined_keys(calls):
    """Keys of the floating tensors that the last call reads, if it has no weights."""
    if not calls or has_weights(calls[-1]):
        return []
    pairs = zip(calls[-1].inputs, calls[-1].node.input_tensors, strict=True)
    is_float = keras.backend.is_float_dtype
    return list(dict.fromkeys(key for key, x in pairs if is_float(x.dtype)))


def has_weights(call):
    """Whether the operation of a call has weights, trainable or not."""
    return bool(getattr(call.operation, "weights", None))


def _ancestors(calls, key):
    wanted, places = {key}, set()
    for place in reversed(range(len(calls))):
        if wanted & set(calls[place].outputs):
            places.add(place)
            wanted |= set(calls[place].inputs)
    return places


def _learning(calls, places):
    """Ids of what has weights and of what runs above it."""
    above: set = set()
    found = set()
    for call in map(calls.__getitem__, sorted(places)):
        if has_weights(call) or above & set(call.inputs):
            above |= set(call.outputs)
            found.add(id(call.operation))
    return found


def _group(members):
    """Group keys that have something in common; keys with nothing are left out."""
    groups: list = []
    for key, parts in members:
        if parts:
            near = [group for group in groups if group[1] & parts]
            keys = [name for names, _ in near for name in names] + [key]
            parts = parts.union(*(own for _, own in near))
            groups = [group for group in groups if group not in near] + [(keys, parts)]
    return [keys for keys, _ in groups]
