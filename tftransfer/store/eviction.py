"""The size limit of the store, and what makes room when it is reached."""

import dataclasses
import os
import shutil
from pathlib import Path

from tftransfer.store.location import (
    ATTEMPTS,
    ENTRIES,
    TEMPORARY,
    empty_trash,
    folder_bytes,
    lock_path,
    store_folder,
    throw_away,
)
from tftransfer.store.locks import remove_lock, try_lock
from tftransfer.store.manifest import MANIFEST

_SHARE = 0.25  # of the disk space that would be free if the store were empty


@dataclasses.dataclass(frozen=True)
class Place:
    """A folder in the store: an entry, an attempt at one, or a temporary one."""

    path: Path
    num_bytes: int
    last_used: float

    @property
    def room(self):
        """Which of `ENTRIES`, `ATTEMPTS` and `TEMPORARY` it lies in."""
        return self.path.parent.name


def list_places(store):
    """Return every `Place` in the store, the least recently used first."""
    places = []
    for room in (ENTRIES, ATTEMPTS, TEMPORARY):
        for path in (store / room).iterdir():
            used = _last_used(path)
            if used is not None:
                places.append(Place(path, folder_bytes(path), used))
    return sorted(places, key=lambda place: place.last_used)


def size_limit(folder=None):
    """Return the most bytes the store may hold.

    `TFTRANSFER_CACHE_BYTES` sets it. Without that it is a quarter of the disk space
    that would be free if the store were empty.

    Raises:
        ValueError: If `TFTRANSFER_CACHE_BYTES` is no whole number.
    """
    store = store_folder(folder)
    return _limit(store, sum(place.num_bytes for place in list_places(store)))


def available_bytes(folder=None):
    """Return how large an entry could be stored now, after evicting what is unused.

    Args:
        folder: Folder of the store; `None` takes that of `store_folder()`.

    Returns:
        Int, bytes, >= 0.

    Example:

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as store:
    ...     available_bytes(store) > 0
    True
    """
    store = store_folder(folder)
    places = list_places(store)
    unused = 0
    for place in places:
        lock = try_lock(lock_path(place.path))
        if lock is not None:
            lock.release()
            unused += place.num_bytes
    return max(0, unused - _missing(0, store, places))


def make_room(num_bytes, folder=None):
    """Evict entries, the least recently used first, until `num_bytes` more fit.

    What any process has open, or is writing, stays. If it cannot fit at all, nothing
    is evicted.

    Args:
        num_bytes: Bytes to be written.
        folder: Folder of the store; `None` takes that of `store_folder()`.

    Raises:
        ValueError: If the limit or the disk is too small even then.
    """
    store = store_folder(folder)
    places = list_places(store)
    missing = total = _missing(num_bytes, store, places)
    chosen = []
    for place in places:
        if missing <= 0:
            break
        lock = try_lock(lock_path(place.path))
        if lock is not None:
            chosen.append((place, lock))
            missing -= place.num_bytes
    if missing > 0:
        for _, lock in chosen:
            lock.release()
        freed = sum(place.num_bytes for place, _ in chosen)
        raise ValueError(
            f"`num_bytes` must be at most {max(0, num_bytes - total + freed):,}, which "
            f"the store in {str(store)!r} has room for. "
            f"Received: num_bytes={num_bytes:,}. Set TFTRANSFER_CACHE_BYTES to a "
            "larger limit, or TFTRANSFER_CACHE to a folder on a disk with more space."
        )
    for place, lock in chosen:
        throw_away(place.path)
        remove_lock(lock)


def sweep(store):
    """Remove what processes that died have left: temporary entries and trash."""
    empty_trash(store)
    for path in (store / TEMPORARY).iterdir():
        lock = try_lock(lock_path(path))
        if lock is not None:
            throw_away(path)
            remove_lock(lock)


def _missing(num_bytes, store, places):
    held = sum(place.num_bytes for place in places)
    free = shutil.disk_usage(store).free
    return max(held - _limit(store, held), -free) + num_bytes


def _limit(store, held):
    text = os.environ.get("TFTRANSFER_CACHE_BYTES")
    if not text:
        return int(_SHARE * (held + shutil.disk_usage(store).free))
    if not text.isdecimal():
        raise ValueError(
            "`TFTRANSFER_CACHE_BYTES` must be a whole number of bytes. "
            f"Received: TFTRANSFER_CACHE_BYTES={text!r}. "
            "Set for example TFTRANSFER_CACHE_BYTES=10000000000 for 10 GB."
        )
    return int(text)


def _last_used(path):
    try:
        if path.parent.name == ENTRIES:
            return (path / MANIFEST).stat().st_mtime
        return path.stat().st_mtime  # changes with every file that is added
    except FileNotFoundError:
        try:
            return path.stat().st_mtime  # without its manifest: damaged, yet there
        except FileNotFoundError:
            return None  # removed in the meantime
