"""What runs the part of a model below a cut, and what it is known by."""

import functools

from tftransfer.features.by_length import ByLength, find_tokens, full_row_shape
from tftransfer.features.keys import prefix_key
from tftransfer.features.side_by_side import SideBySide, find_networks


def run_below(cut, key, example, dtype, choose):
    """Build what runs the part below a cut: one engine, or for texts several.

    Args:
        cut: `Cut`.
        key: As of `key_below`, which reads all weights, or `None`: not known.
        example: Batch of what the model takes.
        dtype: dtype of the results, as a str.
        choose: Function from a function, an example of its argument and a key to an
            `Engine`.

    Returns:
        An object with `name`, `run` and `close`, as `Engine` has them.
    """
    tokens = find_tokens(cut)
    if tokens is not None:
        run = functools.partial(cut.run_from, tokens.cut, training=False)
        by_length = ByLength(tokens, full_row_shape(cut))
        by_length.set_engine(choose(run, by_length.example(example), key))
        return by_length
    networks = find_networks(cut)
    if networks:
        engines = {
            place: run_below(part, key_below(part), example, dtype, choose)
            for place, part in networks.items()
        }
        return SideBySide(cut, networks, engines, dtype)
    run = functools.partial(cut.run_below, training=False)
    return choose(run, example, key)


def key_below(cut):
    """Identify what the part below a cut computes: see `prefix_key`."""
    calls = cut.calls_below
    return prefix_key(calls, calls[-1].outputs[0], cut.graph.inputs)
