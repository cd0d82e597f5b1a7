"""Checkpoint files: written whole or not at all, checked when read, pruned."""

import contextlib
import json
import os
import re
import threading
import warnings
from pathlib import Path

import numpy as np

from tftransfer._version import __version__
from tftransfer.store.locks import try_lock
from tftransfer.writing import check_may_write, replace_when_whole

FORMAT = 1  # of the files; a higher one was written by a later version
KEPT = 2  # newest checkpoints: one to fall back on
_NAME = re.compile(r"checkpoint-(\d{8})\.npz")
_CONTENT = "content"


class CheckpointFolder:
    """The checkpoints of one run in a folder that one process holds.

    A file holds a JSON structure and arrays, each with its CRC-32.

    Args:
        directory: Folder, made if missing.
        is_chief: Whether this process writes; others of the same run only read.

    Raises:
        ValueError: If it cannot be written, or another process uses it.
    """

    def __init__(self, directory, is_chief=True):
        self.directory = _read_folder(directory)
        self._writing = threading.Lock()
        if not self.directory.is_dir():
            check_may_write(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self._lock = try_lock(self.directory / "lock") if is_chief else None
        if not is_chief:
            return
        if self._lock is None:
            raise ValueError(
                "`checkpoint` must be a folder that no other run uses. Received: "
                f"checkpoint={str(directory)!r}, which a living process holds "
                f"({_holder(self.directory / 'lock')}). Wait for it or end it, or take "
                "another folder."
            )
        self._remove_partial()

    def release(self):
        """Let others use the folder, once what is being written is whole."""
        with self._writing:
            if self._lock is not None:
                self._lock.release()
                self._lock = None

    def paths(self):
        """Checkpoint files, the newest last."""
        found = [x for x in self.directory.iterdir() if _NAME.fullmatch(x.name)]
        return sorted(found)

    def write(self, content, arrays):
        """Write a checkpoint and remove all but the newest ones; the chief alone does.

        Args:
            content: JSON structure.
            arrays: List of arrays.

        Raises:
            OSError: If it cannot be written; what was there stays.
        """
        with self._writing:
            if self._lock is not None:  # else another `fit` has taken the folder over
                self._write(content, arrays)

    def _write(self, content, arrays):
        paths = self.paths()
        number = _number(paths[-1]) + 1 if paths else 1
        path = self.directory / f"checkpoint-{number:08d}.npz"
        told = {"format": FORMAT, "version": __version__}
        told["dtypes"] = [_name_of(array.dtype) for array in arrays]
        text = json.dumps({**told, **content})
        parts = {f"array_{i}": _storable(array) for i, array in enumerate(arrays)}
        parts[_CONTENT] = np.frombuffer(text.encode(), "uint8")
        with replace_when_whole(path) as partial:
            with open(partial, "wb") as file:
                np.savez(file, **parts)
                file.flush()
                os.fsync(file.fileno())
        for old in self.paths()[:-KEPT]:
            old.unlink(missing_ok=True)

    def read(self):
        """Return content and arrays of the newest whole checkpoint, or `None`.

        A damaged one is passed over, with a warning.

        Raises:
            ValueError: If a later version of this package wrote it, or all are damaged.
        """
        paths = self.paths()[::-1]
        for path in paths:
            try:
                content, arrays = _read(path)
            except Exception as why:  # zip files break in many ways
                warnings.warn(
                    f"Checkpoint {path.name} is damaged ({why}); the one before is "
                    "taken.",
                    stacklevel=2,
                )
                continue
            if content["format"] > FORMAT:
                raise ValueError(
                    "`checkpoint` must hold checkpoints of this version of tftransfer "
                    f"or an earlier one. Received: {path}, of format "
                    f"{content['format']}, written by {content['version']}; this is "
                    f"{__version__}, format {FORMAT}. Update tftransfer, or take "
                    "another folder."
                )
            content["number"] = _number(path)
            return content, arrays
        if paths:
            raise ValueError(
                "`checkpoint` must hold a checkpoint that can be read. Received: "
                f"{str(self.directory)!r}, where all {len(paths)} are damaged. Remove "
                "them to begin anew, or take another folder."
            )
        return None

    def _remove_partial(self):
        """Remove what a killed process left half-written."""
        for path in self.directory.glob(".partial-*"):
            path.unlink(missing_ok=True)


def _number(path):
    return int(path.stem.split("-")[1])


def _read(path):
    with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
        content = json.loads(file[_CONTENT].tobytes().decode())
        arrays = [file[f"array_{i}"] for i in range(len(content["dtypes"]))]
    pairs = zip(arrays, content["dtypes"], strict=True)
    return content, [x if name is None else x.view(np.dtype(name)) for x, name in pairs]


def _name_of(dtype):
    """Return the name of a type that NumPy does not know itself, as bfloat16."""
    return dtype.name if dtype.kind == "V" else None


def _storable(array):
    """Return an array of a type that NumPy knows itself: bfloat16 is none."""
    if array.dtype.kind != "V":
        return array
    return array.view(f"uint{8 * array.dtype.itemsize}")


def _read_folder(directory):
    if not isinstance(directory, (str, os.PathLike)):
        raise TypeError(
            "`checkpoint` must be the path of a folder. Received: checkpoint of type "
            f"{type(directory).__name__}. Pass for example 'checkpoints/first_run'."
        )
    folder = Path(directory).expanduser()
    if folder.exists() and not folder.is_dir():
        raise ValueError(
            "`checkpoint` must be the path of a folder. Received: "
            f"checkpoint={str(directory)!r}, which is a file. Choose another path."
        )
    return folder


def _holder(path):
    with contextlib.suppress(OSError):
        return f"process {path.read_text().strip() or 'unknown'}"
    return "process unknown"
