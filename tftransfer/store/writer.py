"""Writing an entry: one process at a time, whole or not at all, resumed if cut off."""

import contextlib
import os
import re
import secrets
import threading
import time
from pathlib import Path
from typing import Any

from tftransfer.store.attempt import Attempt
from tftransfer.store.entries import hold_entry, open_entry
from tftransfer.store.eviction import make_room, sweep
from tftransfer.store.location import (
    ATTEMPTS,
    ENTRIES,
    TEMPORARY,
    check_key,
    lock_path,
    store_folder,
    throw_away,
)
from tftransfer.store.locks import remove_lock, try_lock, writer_process
from tftransfer.store.manifest import MANIFEST, to_json, write_manifest
from tftransfer.store.progress import PROGRESS
from tftransfer.store.shards import to_rows

_SHARD_BYTES = 1 << 26
_SHARD_SECONDS = 20.0  # a slow writer loses no more than this to a `kill -9`
_PATIENCE = 0.5  # seconds before a wait is worth a line
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_writers: dict[Path, int] = {}  # attempt -> thread that is at it


@contextlib.contextmanager
def write_entry(key, *, description=None, folder=None, num_bytes=0):
    """Write rows under a key; they are found there once they are all written.

    If another process writes the same key, this one waits for it and says so. If
    the rows are there then, or were from the start, the writer's `entry` is set and
    there is nothing to do. What an interrupted attempt wrote is kept: start with the
    row number `rows_done`.

    Args:
        key: Str of letters, digits, hyphens and underscores that says what the rows
            are. `None` gives a temporary entry of this process only, removed when it
            is closed or the process ends.
        description: Str or other plain values, for people and listings.
        folder: Folder of the store; `None` takes that of `store_folder()`.
        num_bytes: Estimate of the size, so that a disk or limit that is too small is
            found before the work.

    Yields:
        `EntryWriter`.

    Raises:
        TypeError: If `description` is not made of plain values.
        ValueError: If `key` is none, the store cannot be used, or `num_bytes` do not
            fit into it even after evicting what is not in use.

    Example:

    >>> import tempfile
    >>> store = tempfile.TemporaryDirectory()
    >>> with write_entry("0123abcd", folder=store.name) as writer:
    ...     writer.append({"features": np.ones((2, 3)), "labels": np.array([0, 1])})
    ...     entry = writer.finish()
    >>> entry.arrays["features"][1]
    array([1., 1., 1.])
    >>> entry.close()
    >>> store.cleanup()
    """
    to_json("description", description)
    store = store_folder(folder)
    sweep(store)
    if key is None:
        path = store / TEMPORARY / secrets.token_hex(8)
        entry, lock = None, try_lock(lock_path(path))
    else:
        check_key(key)
        path = store / ATTEMPTS / key
        entry, lock = _claim(store / ENTRIES / key, path)
    writer = EntryWriter(key, path, entry, lock, description)
    try:
        if entry is None:
            writer.start(num_bytes)
        yield writer
    finally:
        writer.leave()


class EntryWriter:
    """Takes rows, and puts them in place once they are all there.

    Made by `write_entry`.

    Attributes:
        entry: The whole `Entry`, if it was there already or has been finished.
        rows_done: Rows kept of an interrupted attempt: the next to append is the one
            with this number, counted from 0. An `append` is kept as a whole or not.
        num_rows: Rows so far, those included.
    """

    def __init__(self, key, path, entry, lock, description):
        self.entry = entry
        self.rows_done = self.num_rows = 0
        self._key, self._path, self._lock = key, path, lock
        self._description = description
        self._attempt: Any = None
        self._buffer: list[dict] = []
        self._room, self._last_shard = 0, time.monotonic()

    def start(self, num_bytes):
        """Take up an interrupted attempt and make room; `write_entry` calls it."""
        _writers[self._path] = threading.get_ident()
        self._attempt = Attempt(self._path)
        self.rows_done = self.num_rows = self._attempt.num_rows
        self._room = max(0, num_bytes - self._attempt.num_bytes)
        if self._room:
            make_room(self._room, self._path.parent.parent)

    def append(self, arrays):
        """Add rows. They are copied, and written some 64 MB at a time.

        Args:
            arrays: Dictionary name -> array or tensor of shape `(n, ...)` of bool,
                numbers or byte strings, with the same `n >= 0` for all, and the same
                names, dtypes and row shapes in every call.

        Raises:
            TypeError: If a dtype cannot be stored.
            ValueError: If the arrays do not fit together, or to what was appended
                before; if the limit of the store is reached; or if the entry is whole.
            OSError: If the disk is full. What was written is kept for the next time.
        """
        self._check_unfinished()
        rows = {name: to_rows(name, array) for name, array in arrays.items()}
        batch = {name: array for name, (array, _) in rows.items()}
        lengths = {name: len(array) for name, array in batch.items()}
        if len(set(lengths.values())) != 1:
            raise ValueError(
                "`arrays` must hold at least one array, all with the same number of "
                f"rows. Received: rows={lengths}. Append what belongs together."
            )
        self._check_same_kind(
            {
                name: {"dtype": dtype, "row_shape": list(array.shape[1:])}
                for name, (array, dtype) in rows.items()
            }
        )
        if not any(lengths.values()):
            return
        self._buffer.append(batch)
        self.num_rows += max(lengths.values())
        waited = time.monotonic() - self._last_shard
        if self._buffered() >= _SHARD_BYTES or waited >= _SHARD_SECONDS:
            self._write_shard()

    def finish(self, **extra):
        """Put the rows in place as a whole entry.

        Args:
            **extra: Plain values to be kept as `Entry.extra`.

        Returns:
            `Entry`, held by this process. It need not be closed before the end of
            `write_entry`.

        Raises:
            TypeError: If `extra` is not made of plain values.
            ValueError: If nothing was appended, or the entry is whole already.
            OSError: If the disk is full.
        """
        self._check_unfinished()
        to_json("extra", extra)
        if not self._attempt.arrays:
            raise ValueError(
                "`finish` must be called after `append`. Received: no arrays. "
                "Append an array with 0 rows if there are none."
            )
        if self._buffer:
            self._write_shard()
        manifest = {
            "arrays": self._attempt.describe_arrays(),
            "shards": self._attempt.shards,
            "description": self._description,
            "extra": extra,
        }
        self.entry = self._put_in_place(manifest)
        return self.entry

    def leave(self):
        """Keep or remove what is not whole; `write_entry` calls it."""
        if self._lock is None:
            return
        if self._buffer and self._key is not None:
            with contextlib.suppress(OSError, ValueError):  # no room: less is kept
                self._write_shard()
        if self._key is None or (self._attempt and not self._attempt.shards):
            throw_away(self._path)
            remove_lock(self._lock)
        self._let_go().release()

    def _let_go(self):
        lock, self._lock = self._lock, None
        del _writers[self._path]
        return lock

    def _put_in_place(self, manifest):
        place = self._path
        try:
            write_manifest(place, manifest)
            if self._key is not None:
                place = place.parent.parent / ENTRIES / self._key
                os.rename(self._path, place)
        except OSError as error:
            raise self._attempt.explain(error) from error
        (place / PROGRESS).unlink(missing_ok=True)
        return hold_entry(place, manifest, self._let_go(), self._key)

    def _check_unfinished(self):
        if self.entry is not None:
            raise ValueError(
                "`writer` must not be used once its entry is whole. "
                f"Received: {self.entry}. Use `writer.entry`."
            )
        if self._lock is None:
            raise ValueError(
                "`writer` must be used inside its `with write_entry(...)`. "
                f"Received: a writer that was left after {self.num_rows:,} rows. "
                "Open a new one; it takes up what was kept."
            )

    def _check_same_kind(self, arrays):
        wrong = [name for name in arrays if not _NAME.fullmatch(str(name))]
        if wrong:
            raise ValueError(
                "`arrays` must have names of 1 to 64 letters, digits, hyphens or "
                f"underscores. Received: {wrong[0]!r}. Rename it."
            )
        if not self._attempt.arrays:
            self._attempt.arrays = arrays
        if arrays == self._attempt.arrays:
            return
        expected, advice = self._attempt.arrays, "Append the same kind every time."
        if self.rows_done and self.rows_done == self.num_rows:
            # Rows before these are of another kind, and the caller has left them out.
            self._attempt.clear()
            self.rows_done = self.num_rows = 0
            advice = "What was kept of them is discarded: start again with row 0."
        raise ValueError(
            f"`arrays` must be like the rows before, {expected}. "
            f"Received: {arrays}. {advice}"
        )

    def _buffered(self):
        return sum(array.nbytes for batch in self._buffer for array in batch.values())

    def _write_shard(self):
        num_bytes = self._buffered()
        if num_bytes > self._room:
            make_room(num_bytes, self._path.parent.parent)
        self._room = max(0, self._room - num_bytes)
        self._attempt.add_shard(self._buffer)
        self._buffer = []
        self._last_shard = time.monotonic()


def _claim(place, attempt):
    """Return the whole entry, or else the exclusive lock, as a pair with one `None`."""
    key, start, told = place.name, time.monotonic(), False
    if _writers.get(attempt) == threading.get_ident():
        raise ValueError(
            "`key` must not be one that this thread is writing. "
            f"Received: key={key!r}. Finish or leave the first `write_entry`."
        )
    while True:
        entry = open_entry(key, place.parent.parent)
        if entry is not None:
            return entry, None
        lock = try_lock(lock_path(place))
        if lock is not None:
            if not (place / MANIFEST).exists():
                throw_away(place)  # as a rule there is nothing
                return None, lock
            lock.release()  # finished by another a moment ago
        elif not told and time.monotonic() - start > _PATIENCE:
            told = True
            process = writer_process(lock_path(place)) or "unknown"
            print(f"Waiting for process {process}, which writes the same rows ({key}).")
        else:
            time.sleep(0.05)
