"""Where the store lies on this machine, and what lies where inside it."""

import os
import re
import secrets
import shutil
from pathlib import Path

import platformdirs

ENTRIES = "entries"  # whole: <key>/manifest.json and the shards
ATTEMPTS = "attempts"  # being written, or interrupted: <key>/progress.jsonl and shards
TEMPORARY = "temporary"  # of one process only, found by no key
_LOCKS = "locks"
_TRASH = "trash"  # renamed here first, so that nothing half-removed is ever found
_KEY = re.compile(r"[A-Za-z0-9_-]{1,128}")


def store_folder(folder=None):
    """Return the folder of the store, made if it does not exist.

    Args:
        folder: The place to use; `None` takes the environment variable
            `TFTRANSFER_CACHE`, or else the cache folder of the platform (on Linux
            `~/.cache/tftransfer`).

    Returns:
        Absolute `pathlib.Path`.

    Raises:
        ValueError: If the folder cannot be made or written.

    Example:

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as place:
    ...     store_folder(place).is_dir()
    True
    """
    chosen = folder or os.environ.get("TFTRANSFER_CACHE")
    path = Path(
        chosen or platformdirs.user_cache_path("tftransfer", appauthor=False)
    ).expanduser()
    path = path.absolute()
    reason = None
    try:
        for name in (ENTRIES, ATTEMPTS, TEMPORARY, _LOCKS, _TRASH):
            (path / name).mkdir(parents=True, exist_ok=True)
            if not os.access(path / name, os.W_OK | os.X_OK):
                reason = "it is not writable"
    except OSError as error:
        reason = error.strerror
    if reason:
        argument = "folder" if folder else "TFTRANSFER_CACHE"
        raise ValueError(
            f"`{argument}` must be a folder that can be made and written. "
            f"Received: {argument}={str(path)!r}, but {reason}. "
            "Set the environment variable TFTRANSFER_CACHE to another folder."
        )
    return path


def check_key(key):
    """Raise `ValueError` unless `key` can name an entry."""
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        raise ValueError(
            "`key` must be 1 to 128 letters, digits, hyphens or underscores. "
            f"Received: key={key!r}. Pass a hexadecimal digest of what made the rows."
        )


def lock_path(place):
    """Return the lock file of an entry, an attempt or a temporary folder."""
    # An entry and the attempts at it share one. A key has no dot.
    prefix = f"{TEMPORARY}." if place.parent.name == TEMPORARY else ""
    return place.parent.parent / _LOCKS / f"{prefix}{place.name}.lock"


def throw_away(place):
    """Remove an entry, an attempt or a temporary folder of the store at one stroke.

    Memory maps of its files stay valid.
    """
    trash = place.parent.parent / _TRASH / secrets.token_hex(8)
    try:
        os.rename(place, trash)
    except FileNotFoundError:
        return  # another process was faster
    except OSError:  # Windows does not rename a folder with open files
        trash = place
    shutil.rmtree(trash, ignore_errors=True)


def empty_trash(store):
    """Remove what processes that died in `throw_away` left."""
    for rest in (store / _TRASH).iterdir():
        shutil.rmtree(rest, ignore_errors=True)


def folder_bytes(place):
    """Return the bytes of the files in a folder without subfolders, 0 if it is gone."""
    total = 0
    try:
        with os.scandir(place) as files:
            for file in files:
                try:
                    total += file.stat().st_size
                except FileNotFoundError:
                    continue  # removed in the meantime
    except (FileNotFoundError, NotADirectoryError):
        pass
    return total
