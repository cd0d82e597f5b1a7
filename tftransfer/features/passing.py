"""Inputs through an engine, and what goes with them round it."""

import collections

import keras


class Passing:
    """Labels that go round an engine, while the inputs go through it.

    Args:
        hasher: `ContentHasher` that is shown all of them, or `None`.
    """

    def __init__(self, hasher):
        self._hasher = hasher
        self._waiting: collections.deque = collections.deque()

    def inputs(self, batches, skip, sizes):
        """Yield inputs; the first `skip` rows are counted and left out."""
        for x, rest in batches:
            if self._hasher:
                self._hasher.add((x, rest))
            size = len(keras.tree.flatten(x)[0])
            sizes.append(size)
            left_out = min(skip, size)
            skip -= left_out
            if left_out == size:
                continue
            if left_out:
                x, rest = _drop_rows((x, rest), left_out)
            self._waiting.append(rest)
            yield x

    def rest(self):
        """Labels and weights of the batch that came out."""
        return keras.tree.flatten(self._waiting.popleft())


def _drop_rows(batch, count):
    return keras.tree.map_structure(lambda leaf: leaf[count:], batch)
