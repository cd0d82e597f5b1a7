"""Locks between processes, which the system releases when their holder dies."""

import contextlib
import os
import random
import secrets
import weakref
from typing import Any

fcntl: Any
msvcrt: Any
try:
    import fcntl
except ImportError:  # Windows
    import msvcrt

    fcntl = None

# Without `fcntl` there are exclusive locks of byte ranges only: a reader locks one byte
# of this range, a writer the whole of it. It starts behind the number of the process.
_RANGE_START, _RANGE_LENGTH, _READER_TRIES = 64, 1024, 16


class Lock:
    """A lock that is held until `release()`, garbage collection or the process' end.

    Args:
        descriptor: File descriptor the lock was got on; the `Lock` closes it.
        path: The lock file.
    """

    def __init__(self, descriptor, path):
        self.path = path
        # Closing, not unlocking: a forked child must not end its parent's lock.
        self.release = weakref.finalize(self, os.close, descriptor)


def try_lock(path, shared=False):
    """Lock a file if that is possible at once.

    Args:
        path: `pathlib.Path` of the lock file, made if missing.
        shared: Whether others may hold the lock, shared too, at the same time.

    Returns:
        `Lock`, or `None` if another holder, in this process or another, is in the way.

    Raises:
        OSError: If the disk knows no locks.

    Example:

    >>> import pathlib, tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = pathlib.Path(folder.name, "a.lock")
    >>> first = try_lock(path, shared=True)
    >>> try_lock(path, shared=True) is None, try_lock(path) is None
    (False, True)
    >>> first.release()
    >>> folder.cleanup()
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        lock = Lock(descriptor, path)
        got = _lock_descriptor(descriptor, shared, path)
        # A file that was removed or replaced since it was opened locks nothing.
        if _is_current(descriptor, path):
            if not got:
                lock.release()
                return None
            if not shared:
                _write_process(descriptor)
            return lock
        lock.release()


def make_shared(lock):
    """Turn an exclusive lock into a shared one without a gap for anybody else.

    Returns:
        The shared `Lock`; the one given is released.
    """
    if fcntl is None:
        lock.release()
        while (shared := try_lock(lock.path, shared=True)) is None:
            pass
        return shared
    # `flock` may let another in while it converts; a new file, locked before it takes
    # the place of the old one, does not.
    fresh = lock.path.with_name(f"{lock.path.name}.{secrets.token_hex(8)}")
    shared = try_lock(fresh, shared=True)
    os.replace(fresh, lock.path)
    shared.path = lock.path
    lock.release()
    return shared


def remove_lock(lock):
    """Release a lock and remove its file; who waits for it starts with a new one."""
    with contextlib.suppress(OSError):
        os.unlink(lock.path)
    lock.release()


def writer_process(path):
    """Return the number of the process that last held a lock exclusively, or `None`."""
    try:
        return int(path.read_bytes()[:20])
    except (OSError, ValueError):
        return None


def _lock_descriptor(descriptor, shared, path):
    try:
        if fcntl is None:
            return _lock_bytes(descriptor, shared)
        kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False
    except OSError as error:
        raise OSError(
            f"Cannot lock {str(path)!r}: {error.strerror}. Set the environment "
            "variable TFTRANSFER_CACHE to a folder on a local disk."
        ) from error


def _lock_bytes(descriptor, shared):
    places = random.sample(range(_RANGE_LENGTH), _READER_TRIES) if shared else [0]
    for place in places:
        os.lseek(descriptor, _RANGE_START + place, os.SEEK_SET)
        try:
            length = 1 if shared else _RANGE_LENGTH
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, length)
            return True
        except PermissionError:
            continue
    return False


def _write_process(descriptor):
    with contextlib.suppress(OSError):  # of use for a message only
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, f"{os.getpid():<20}".encode())


def _is_current(descriptor, path):
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False
