"""What the store holds, for people, and its removal on demand."""

import dataclasses
import time
from pathlib import Path

from tftransfer.checks import did_you_mean
from tftransfer.columns import align_columns
from tftransfer.store.eviction import list_places, size_limit, sweep
from tftransfer.store.location import (
    ENTRIES,
    TEMPORARY,
    lock_path,
    store_folder,
    throw_away,
)
from tftransfer.store.locks import remove_lock, try_lock
from tftransfer.store.manifest import Damage, read_manifest
from tftransfer.store.progress import read_progress

_UNITS = ("bytes", "kB", "MB", "GB", "TB")


@dataclasses.dataclass(frozen=True)
class StoredEntry:
    """One line of the listing.

    Attributes:
        key: Str. For a temporary entry, which has no key, the name of its folder.
        state: `"whole"`, `"interrupted"` (kept, to be resumed), `"being written"`,
            `"temporary"` or `"damaged"`.
        in_use: Whether a process has it open or is writing it.
        num_bytes: Size on disk.
        num_rows: Rows so far.
        last_used: Seconds since 1970.
        description: What the writer said of it.
    """

    key: str
    state: str
    in_use: bool
    num_bytes: int
    num_rows: int
    last_used: float
    description: object


@dataclasses.dataclass(frozen=True)
class StoreListing:
    """All entries of a store, the last used first; prints as a table.

    Attributes:
        folder: `pathlib.Path` of the store.
        entries: Tuple of `StoredEntry`.
        limit: The most bytes the store may hold.
    """

    folder: Path
    entries: tuple[StoredEntry, ...]
    limit: int

    def __str__(self):
        total = sum(entry.num_bytes for entry in self.entries)
        last = f"{format_bytes(total)} of {format_bytes(self.limit)} in {self.folder}"
        if not self.entries:
            return f"empty: {last}"
        now = time.time()
        rows = [["key", "rows", "size", "last used", "state", "description"]]
        for entry in self.entries:
            rows.append(
                [
                    entry.key[:16],
                    f"{entry.num_rows:,}",
                    format_bytes(entry.num_bytes),
                    _format_age(now - entry.last_used),
                    entry.state + (", in use" if entry.in_use else ""),
                    _format_description(entry.description),
                ]
            )
        right = [False, True, True, True, False, False]
        return "\n".join([*align_columns(rows, right=right), "", last])


def list_entries(folder=None):
    """Return what the store holds.

    Args:
        folder: Folder of the store; `None` takes that of `store_folder()`.

    Returns:
        `StoreListing`.

    Example:

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as store:
    ...     list_entries(store).entries
    ()
    """
    store = store_folder(folder)
    sweep(store)
    entries = tuple(_describe(place) for place in reversed(list_places(store)))
    return StoreListing(store, entries, size_limit(store))


def clear_entries(keys=None, folder=None):
    """Remove entries and interrupted attempts that no process is using.

    Args:
        keys: List of str, keys or the unique starts of keys; `None` takes all.
        folder: Folder of the store; `None` takes that of `store_folder()`.

    Returns:
        Two lists of `StoredEntry`: the removed ones, and those left as they are in
        use.

    Raises:
        ValueError: If no entry has such a key, or several start with it.
    """
    store = store_folder(folder)
    sweep(store)
    places = list_places(store)
    if keys is not None:
        known = {place.path.name for place in places if place.room != TEMPORARY}
        chosen = {_find(key, known) for key in keys}
        places = [place for place in places if place.path.name in chosen]
    removed, left = [], []
    for place in places:
        entry = _describe(place)
        lock = try_lock(lock_path(place.path))
        if lock is None:
            left.append(entry)
        else:
            throw_away(place.path)
            remove_lock(lock)
            removed.append(entry)
    return removed, left


def format_bytes(num_bytes):
    """Return a number of bytes as people say it.

    Example:

    >>> format_bytes(12), format_bytes(1_500), format_bytes(64_000_000)
    ('12 bytes', '1.5 kB', '64 MB')
    """
    size, unit = float(num_bytes), 0
    while size >= 999.5 and unit < len(_UNITS) - 1:
        size, unit = size / 1000, unit + 1
    digits = 1 if size < 9.95 and unit else 0
    return f"{size:.{digits}f} {_UNITS[unit]}"


def _describe(place):
    lock = try_lock(lock_path(place.path))
    if lock is not None:
        lock.release()
    description, shards = None, []
    if place.room == ENTRIES:
        state = "whole"
        try:
            manifest = read_manifest(place.path)
            description, shards = manifest["description"], manifest["shards"]
        except Damage:
            state = "damaged"
    else:
        _, shards, _ = read_progress(place.path)
        state = "interrupted" if lock is not None else "being written"
        if place.room == TEMPORARY:
            state = "temporary"
    return StoredEntry(
        key=place.path.name,
        state=state,
        in_use=lock is None,
        num_bytes=place.num_bytes,
        num_rows=sum(shard["rows"] for shard in shards),
        last_used=place.last_used,
        description=description,
    )


def _find(start, known):
    found = [key for key in known if key.startswith(start)]
    if start in known:
        return start
    if len(found) != 1:
        hint = did_you_mean(start, known)
        raise ValueError(
            "`key` must be the key of one entry, or a start that only one has. "
            f"Received: {start!r}, which {len(found)} have. "
            f"{hint or '`tftransfer cache list` shows them.'}"
        )
    return found[0]


def _format_age(seconds):
    for size, name in ((86400, "day"), (3600, "hour"), (60, "minute")):
        count = int(seconds // size)
        if count > 0:
            return f"{count} {name}{'s' if count > 1 else ''} ago"
    return "just now"


def _format_description(description):
    if isinstance(description, dict):
        return ", ".join(f"{name}={value}" for name, value in description.items())
    return "" if description is None else str(description)
