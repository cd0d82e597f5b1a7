"""Texts of similar length side by side: short ones do not wait for long ones."""

import dataclasses
import functools
import itertools
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tftransfer.freezing.parts import Cut, single_tensor_cuts

GROUP_ROWS = 4096  # texts among which similar ones are looked for
GROUP_BYTES = 2**28  # of results that wait for their turn
PIECE_ROWS = 64
# (up to this length, multiples of this): each length is a graph of its own to engines.
_STEPS = ((64, 16), (256, 32), (1024, 64))


@dataclasses.dataclass(frozen=True)
class Tokens:
    """The place in a graph where texts have become ids.

    Attributes:
        cut: `Cut` at the ids, `(batch, length)` or `(batch, windows, length)`.
        pad: Id that fills up.
        limit: The most ids of a text, `None` if not known.
        may_shorten: Whether padding says nothing, so that less of it will do.
    """

    cut: Cut
    pad: int
    limit: int | None
    may_shorten: bool


def find_tokens(cut):
    """Find where the texts that a model reads become ids, below `cut`.

    Args:
        cut: `Cut`.

    Returns:
        `Tokens`, or `None` where the model reads no texts or they become no ids.
    """
    if [tensor.dtype for tensor in cut.model.inputs] != ["string"]:
        return None
    for lower in single_tensor_cuts(cut.model):
        is_ids = "int" in str(lower.tensor.dtype) and len(lower.tensor.shape) > 1
        if is_ids and not lower.along and lower.position < cut.position:
            layer = lower.graph.calls[lower.position].operation
            limit = getattr(layer, "sequence_length", None)
            may_shorten = getattr(layer, "pads_to_longest", False)
            return Tokens(lower, getattr(layer, "pad", 0), limit, may_shorten)
    return None


def full_row_shape(cut):
    """Return the shape of a row at a cut, texts as long as they may be.

    Returns:
        Tuple, with `None` for what is not known.
    """
    shape = cut.row_shape
    if len(shape) == 2 and shape[0] is None:
        tokens = find_tokens(cut)
        return (tokens and tokens.limit, *shape[1:])
    return shape


class ByLength:
    """An engine on ids, run over batches of texts sorted by their length.

    It runs like an engine and gives results in the order of the texts.

    Args:
        tokens: `Tokens`.
        row_shape: Shape of the result for a text; vectors of tokens are filled up to
            it with what padding gives.

    Attributes:
        num_tokens: How many ids the last run computed.
        num_places: How many it computed with the padding.
    """

    def __init__(self, tokens, row_shape):
        self._tokens, self._row_shape = tokens, row_shape
        self._to_ids = tf.function(
            lambda texts: tokens.cut.run_below(texts, training=False), autograph=False
        )
        self._engine: Any = None
        self.num_tokens = self.num_places = 0

    @property
    def name(self):
        """Name of the engine."""
        return self._engine.name

    def set_engine(self, engine):
        """Set the engine, which takes ids as `example` gives them."""
        self._engine = engine

    def close(self):
        """Give back what the engine holds."""
        self._engine.close()

    def example(self, texts):
        """Return ids of these texts as an engine will see most of them."""
        rows = self._read(texts)
        extent = sorted(map(self._extent, rows))[3 * len(rows) // 4]
        return self._stack(rows, extent)

    def run(self, batches):
        """Yield results, an array with a row for each text, batch after batch.

        Args:
            batches: Iterable of arrays of texts, `str` or `bytes`.
        """
        self.num_tokens = self.num_places = 0
        for group in _group(batches, self._group_rows):
            rows = [row for batch in group for row in self._read(batch)]
            results = self._compute(rows)
            start = 0
            for batch in group:
                yield results[start : start + len(batch)]
                start += len(batch)

    @property
    def _group_rows(self):
        size = 4 * int(np.prod([length or 1 for length in self._row_shape]))
        return max(PIECE_ROWS, min(GROUP_ROWS, GROUP_BYTES // size))

    def _read(self, texts):
        texts = np.asarray(texts)
        texts = tf.constant(texts.astype(object) if texts.dtype.kind == "U" else texts)
        return list(self._to_ids(texts).numpy())

    def _extent(self, ids):
        """How far ids reach on each axis, rounded up on the last."""
        if not self._tokens.may_shorten:
            return ids.shape
        places = np.nonzero(ids != self._tokens.pad)
        reach = [int(place.max(initial=0)) + 1 for place in places]
        return (*reach[:-1], round_length(reach[-1], self._tokens.limit))

    def _compute(self, rows):
        extents = [self._extent(row) for row in rows]
        order = sorted(range(len(rows)), key=extents.__getitem__)
        pieces = [
            (same, extent)
            for extent, alike in itertools.groupby(order, extents.__getitem__)
            for same in _batched(alike, PIECE_ROWS)
        ]
        stacked = (self._stack([rows[i] for i in same], e) for same, e in pieces)
        results = None
        computed = self._engine.run(self._count(stacked))
        for (same, _), values in zip(pieces, computed, strict=True):
            values = self._lengthen(values)
            if results is None:
                results = np.zeros((len(rows), *values.shape[1:]), values.dtype)
            results[same] = values
        return results

    def _lengthen(self, values):
        if values.ndim != 3 or len(self._row_shape) != 2 or self._row_shape[0] is None:
            return values
        whole = np.empty((len(values), *self._row_shape), values.dtype)
        whole[:, : values.shape[1]] = values
        whole[:, values.shape[1] :] = self._filling
        return whole

    @functools.cached_property
    def _filling(self):
        """What a place of padding gives."""
        padding = np.full((1, _STEPS[0][1]), self._tokens.pad, "int32")
        return next(iter(self._engine.run([padding])))[0, -1]

    def _count(self, pieces):
        for piece in pieces:
            self.num_tokens += int(np.count_nonzero(piece != self._tokens.pad))
            self.num_places += piece.size
            yield piece

    def _stack(self, rows, extent):
        stacked = np.full((len(rows), *extent), self._tokens.pad, rows[0].dtype)
        for place, row in zip(stacked, rows, strict=True):
            row = row[tuple(slice(length) for length in extent)]
            place[tuple(slice(length) for length in row.shape)] = row
        return stacked


def round_length(length, limit=None):
    """Round a number of tokens up to one of few, none above `limit`.

    Example:

    >>> [round_length(length) for length in (1, 17, 65, 300)], round_length(250, 250)
    ([16, 32, 96, 320], 250)
    """
    step = next((step for most, step in _STEPS if length <= most), 256)
    rounded = -(-length // step) * step
    return rounded if limit is None else min(rounded, limit)


def _batched(items, size):
    items = iter(items)
    while piece := list(itertools.islice(items, size)):
        yield piece


def _group(batches, num_rows):
    """Yield lists of batches that have at least `num_rows` rows together."""
    group, count = [], 0
    for batch in batches:
        group.append(batch)
        count += len(keras.tree.flatten(batch)[0])
        if count >= num_rows:
            yield group
            group, count = [], 0
    if group:
        yield group
