"""Outputs that appear under their name only when they are whole."""

import contextlib
import json
import os
import secrets
import shutil
from pathlib import Path


@contextlib.contextmanager
def replace_when_whole(path, overwrite=False):
    """Write a file or folder under a temporary name, then rename it to `path`.

    Whatever interrupts the writing (an error, a full disk, Ctrl-C), what lay at
    `path` before stays untouched and nothing half-written is left behind.

    A file replaces a file in one step. A folder replaces another in two renames:
    only a process killed between them leaves the old folder beside the new place,
    whole, as `.old-<number>-<name>`.

    Args:
        path: Where the file or folder shall stand at last. Missing parent folders
            are made, and removed again if the writing fails.
        overwrite: Whether something at `path` may be replaced.

    Yields:
        `pathlib.Path` in the same folder and with the same suffix, where nothing
        exists yet: write the file, or make the folder, there.

    Raises:
        ValueError: If `path` exists and `overwrite` is False, or cannot be written.

    Example:

    >>> import tempfile, pathlib
    >>> folder = tempfile.TemporaryDirectory()
    >>> with replace_when_whole(pathlib.Path(folder.name, "a.txt")) as partial:
    ...     _ = partial.write_text("whole")
    >>> pathlib.Path(folder.name, "a.txt").read_text()
    'whole'
    >>> folder.cleanup()
    """
    check_may_write(path, overwrite)
    target = Path(os.path.realpath(path))
    number = secrets.token_hex(4)
    partial = target.with_name(f".partial-{number}-{target.name}")
    old = target.with_name(f".old-{number}-{target.name}")
    missing = [folder for folder in target.parents if not folder.exists()]
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        check_may_write(path, overwrite)  # it may have appeared in the meantime
        _move_into_place(partial, target, old)
    except BaseException:
        if os.path.lexists(old) and not os.path.lexists(target):
            os.rename(old, target)
        _remove(partial)
        for folder in missing:
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise
    finally:
        if os.path.lexists(target):
            _remove(old)


def check_may_write(path, overwrite=False, name="path"):
    """Raise `ValueError` unless a new file or folder may be put at `path`.

    Args:
        path: A file or folder, which may lie in folders that do not exist yet.
        overwrite: Whether something at `path` may be replaced.
        name: Of the argument, for the message.
    """
    if not overwrite and os.path.lexists(path):
        raise ValueError(
            f"`{name}` must not exist yet, unless overwrite=True. "
            f"Received: {name}={str(path)!r}, which exists. "
            "Choose another path, or pass overwrite=True to replace it."
        )
    folder = _nearest_folder(path)
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise ValueError(
            f"`{name}` must lie in a folder that can be written. "
            f"Received: {name}={str(path)!r}, but {str(folder)!r} is "
            f"{'not writable' if folder.is_dir() else 'a file'}. Choose another path."
        )


def check_free_space(path, num_bytes):
    """Raise `ValueError` unless the disk of `path` has `num_bytes` left.

    Args:
        path: A file or folder that will be written.
        num_bytes: What the writing needs at least, in bytes.
    """
    free = shutil.disk_usage(_nearest_folder(path)).free
    if free < num_bytes:
        raise ValueError(
            f"`path` must lie on a disk with {num_bytes:,} bytes free. "
            f"Received: path={str(path)!r}, where {free:,} are free. "
            "Make room or choose another disk."
        )


def write_json(path, content):
    """Write a structure as JSON; a reader never sees half a file.

    Args:
        path: File to write or replace; missing folders are made.
        content: Plain JSON values, all numbers finite.
    """
    text = json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False)
    with replace_when_whole(path, overwrite=True) as partial:
        partial.write_text(text + "\n", encoding="utf-8")


def _nearest_folder(path):
    parents = Path(os.path.realpath(path)).parents
    return next(folder for folder in parents if os.path.lexists(folder))


def _move_into_place(partial, target, old):
    if target.is_dir() or (partial.is_dir() and target.exists()):
        os.rename(target, old)  # a folder cannot be renamed over another
    os.replace(partial, target)


def _remove(path):
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
