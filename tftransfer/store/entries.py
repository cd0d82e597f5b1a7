"""Whole entries of the store: found by their key, verified, held while in use."""

import contextlib
import os
import time
import weakref

from tftransfer.store.location import (
    ENTRIES,
    check_key,
    lock_path,
    store_folder,
    throw_away,
)
from tftransfer.store.locks import make_shared, remove_lock, try_lock
from tftransfer.store.manifest import MANIFEST, Damage, check_shards, read_manifest
from tftransfer.store.sharded import OpenShards, ShardedArray

_PATIENCE = 5.0  # seconds; nobody locks a whole entry exclusively for longer


class Entry:
    """Stored rows: several arrays of equal length, what they are, and their files.

    No other process removes them while the entry or one of its arrays is in use. Use
    it in a `with` statement, call `close()`, or let it be garbage collected.

    Attributes:
        arrays: Dictionary name -> `ShardedArray`.
        num_rows: Length of each array.
        key: Str; `None` for a temporary entry.
        description: What was given to `write_entry`.
        extra: Dictionary of what was given to `EntryWriter.finish`.
        path: `pathlib.Path` of the folder.
        num_bytes: Size of the files.
    """

    def __init__(self, path, manifest, lock, key):
        self.path = path
        self.key = key
        self.description = manifest["description"]
        self.extra = manifest["extra"]
        self.num_rows = sum(shard["rows"] for shard in manifest["shards"])
        self.num_bytes = sum(
            record["bytes"]
            for shard in manifest["shards"]
            for record in shard["files"].values()
        )
        self._holding = _Holding(lock, path if key is None else None)
        self._shards = OpenShards(path, self._holding)
        self.arrays = {
            name: _build_array(self._shards, name, array, manifest["shards"])
            for name, array in manifest["arrays"].items()
        }

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def __repr__(self):
        return f"Entry(num_rows={self.num_rows}, arrays={self.arrays})"

    def close(self):
        """Let others remove the entry; a temporary one is removed now."""
        self._shards.close()
        self._holding.end()


class _Holding:
    """What keeps an entry in place; ends by `end()`, as garbage, or at exit."""

    def __init__(self, lock, temporary):
        self.end = weakref.finalize(self, _let_go, lock, temporary, os.getpid())


def open_entry(key, folder=None):
    """Return the entry of a key if it is there, whole and unaltered.

    Every file is compared with the checksum in the manifest. A damaged entry is
    discarded with one line that says so.

    Args:
        key: Str of letters, digits, hyphens and underscores.
        folder: Folder of the store; `None` takes that of `store_folder()`.

    Returns:
        `Entry`, or `None`.

    Raises:
        ValueError: If `key` is none, or the store cannot be used.

    Example:

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as store:
    ...     open_entry("0123abcd", folder=store) is None
    True
    """
    check_key(key)
    path = store_folder(folder) / ENTRIES / key
    lock = _lock_whole(path)
    if lock is None:
        return None
    try:
        manifest = read_manifest(path)
        check_shards(path, manifest["shards"])
    except Damage as damage:
        # No writer comes between while the lock is held. Others who read the damaged
        # entry keep their maps of it, and their lock on a file that is gone.
        throw_away(path)
        remove_lock(lock)
        print(f"Stored rows {key} are damaged and were discarded: {damage}.")
        return None
    except BaseException:
        lock.release()
        raise
    with contextlib.suppress(OSError):
        os.utime(path / MANIFEST)  # the last use
    return Entry(path, manifest, lock, key)


def hold_entry(path, manifest, lock, key):
    """Return the `Entry` of a folder just written, whose exclusive lock is held."""
    return Entry(path, manifest, lock if key is None else make_shared(lock), key)


def _lock_whole(path):
    """Return the shared lock of an entry, `None` if there is none."""
    give_up = time.monotonic() + _PATIENCE
    while path.is_dir():
        lock = try_lock(lock_path(path), shared=True)
        if lock is not None:
            if path.is_dir():
                return lock
            lock.release()
        elif time.monotonic() > give_up:
            return None
        else:
            time.sleep(0.01)
    return None


def _let_go(lock, temporary, process):
    if temporary is None:
        lock.release()
    elif process == os.getpid():  # a forked child leaves its parent's rows alone
        throw_away(temporary)
        remove_lock(lock)


def _build_array(shards, name, array, records):
    files = [
        file
        for record in records
        for file, noted in record["files"].items()
        if noted["array"] == name
    ]
    rows = [record["rows"] for record in records]
    dtype = "float32" if array["dtype"] == "bfloat16" else array["dtype"]
    return ShardedArray(shards, files, rows, dtype, array["row_shape"])
