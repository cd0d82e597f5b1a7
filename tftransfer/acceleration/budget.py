"""Which cut to store at, so that the stored rows fit."""

import dataclasses

import numpy as np

from tftransfer.checks import check_choice, check_whole_number
from tftransfer.engines.building import ENGINES
from tftransfer.features.by_length import full_row_shape
from tftransfer.store.eviction import available_bytes
from tftransfer.store.listing import format_bytes

_DISK_SHARE = 0.5  # of what the store may still hold


@dataclasses.dataclass(frozen=True)
class CacheSettings:
    """How `fine_tune` and `accelerate` store what the frozen part makes.

    Args:
        cache: `"auto"`, `True`, `False`, or a folder for the store.
        cache_bytes: The most bytes of activations to store for one call; `None` is a
            share of what the store may hold.
        augmented_views: Stored passes over examples that differ from pass to pass.
        engine: Name of an engine, or `"auto"`.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If a value is not acceptable.
    """

    cache: object = "auto"
    cache_bytes: int | None = None
    augmented_views: int = 1
    engine: str = "auto"

    def __post_init__(self):
        if not isinstance(self.cache, bool) and not _is_path(self.cache):
            raise TypeError(
                '`cache` must be "auto", True, False or a folder. Received: '
                f"cache={self.cache!r}. Leave it out to store where it helps."
            )
        if self.cache_bytes is not None:
            check_whole_number("cache_bytes", self.cache_bytes, 0)
        check_whole_number("augmented_views", self.augmented_views)
        check_choice("engine", self.engine, ("auto", *ENGINES))

    @property
    def folder(self):
        """Folder of the store, `None` for the usual one."""
        usual = isinstance(self.cache, bool) or self.cache == "auto"
        return None if usual else self.cache

    @property
    def insists(self):
        """Whether rows are stored even where they would differ from epoch to epoch."""
        return self.cache is True

    @property
    def most_bytes(self):
        """The budget in bytes."""
        room = available_bytes(self.folder)
        if self.cache_bytes is None:
            return int(_DISK_SHARE * room)
        return min(self.cache_bytes, room)


def _is_path(value):
    return isinstance(value, str) or hasattr(value, "__fspath__")


def choose_cut(candidates, num_rows, budget, inputs):
    """Choose the highest cut whose activations fit the budget.

    Args:
        candidates: List of tuples of `Cut`, from input to output.
        num_rows: Rows to store, `None` if not known.
        budget: Bytes.
        inputs: Function that gives a row of what the model takes, for shapes that the
            graph leaves open.

    Returns:
        The tuple of `Cut`, or `None`, and one line on what it takes, or why none fits.
    """
    asked = None
    for cuts in reversed(candidates):
        size = row_bytes(cuts[0], inputs) * (num_rows or 0)
        if size <= budget:
            line = f"{num_rows:,} rows of features at {cuts[0].name!r} take "
            line += format_bytes(size)
            if not num_rows:
                row = format_bytes(row_bytes(cuts[0], inputs))
                line = f"features at {cuts[0].name!r} take {row} a row"
            return cuts, line if asked is None else f"{line} ({asked})"
        if asked is None:
            asked = f"features at {cuts[0].name!r} would take {format_bytes(size)}"
            asked += f", more than the {format_bytes(budget)} allowed"
    return None, f"{asked}; cache_bytes sets the limit"


def row_bytes(cut, inputs):
    """Bytes of one row of activations at a cut."""
    shape = full_row_shape(cut)
    if None in shape:
        shape = cut.run_below(inputs(), training=False).shape[1:]
    return int(np.prod(shape)) * _ITEM_BYTES.get(cut.tensor.dtype, 4)


_ITEM_BYTES = {"float16": 2, "bfloat16": 2, "float64": 8}
