"""Shards of an entry that is not whole yet, and the note of how far it has come."""

import json
import os

import numpy as np

from tftransfer.store.manifest import Damage, check_shards
from tftransfer.store.progress import PROGRESS, read_progress
from tftransfer.store.shards import write_rows


class Attempt:
    """A folder of shards and a file with one line for each that is whole.

    What is found of an earlier attempt is verified; the shards before the first gap
    are kept and everything else in the folder is removed.

    Args:
        path: `pathlib.Path` of the folder, made if missing.

    Attributes:
        arrays: Dictionary name -> `{"dtype": str, "row_shape": list of int}`, the
            same for all shards; empty as long as there are none.
        shards: List of `{"rows": int, "files": {file: {"array", "bytes", ...}}}`.
    """

    def __init__(self, path):
        self.path = path
        path.mkdir(exist_ok=True)
        self.arrays, shards, ends = read_progress(path)
        self.shards, self._end = [], ends[0]
        for shard, end in zip(shards, ends[1:], strict=True):
            try:
                check_shards(path, [shard])
            except Damage:
                break
            self.shards.append(shard)
            self._end = end
        if not self.shards:
            self.arrays, self._end = {}, 0
        kept = {file for shard in self.shards for file in shard["files"]} | {PROGRESS}
        for file in path.iterdir():
            if file.name not in kept:
                file.unlink()

    @property
    def num_rows(self):
        """Rows in the shards."""
        return sum(shard["rows"] for shard in self.shards)

    @property
    def num_bytes(self):
        """Bytes of the shards."""
        return sum(
            noted["bytes"] for shard in self.shards for noted in shard["files"].values()
        )

    def add_shard(self, batches):
        """Write one shard and note it.

        Args:
            batches: List of dictionaries name -> array, of equal names and dtypes.

        Raises:
            OSError: If the disk does not take it; what was noted before stays.
        """
        number = len(self.shards)
        files = {name: f"{name}-{number:05d}.npy" for name in self.arrays}
        try:
            noted = {
                file: {
                    "array": name,
                    **write_rows(self.path / file, [batch[name] for batch in batches]),
                }
                for name, file in files.items()
            }
            rows = sum(len(next(iter(batch.values()))) for batch in batches)
            self._note({"rows": rows, "files": noted})
        except OSError as error:
            for file in files.values():
                (self.path / file).unlink(missing_ok=True)
            raise self.explain(error) from error

    def explain(self, error):
        """Return an `OSError` that says what is kept and what to do next."""
        kept = f"{self.num_rows:,} rows are kept. " if self.num_rows else ""
        explained = OSError(
            f"Cannot write to {str(self.path)!r}: {error.strerror}. {kept}Make room "
            "there, or set TFTRANSFER_CACHE to a folder on a larger disk. Then run "
            "again."
        )
        explained.errno = error.errno
        return explained

    def clear(self):
        """Forget every shard."""
        self.arrays, self.shards, self._end = {}, [], 0
        for file in self.path.iterdir():
            file.unlink()

    def describe_arrays(self):
        """Return `arrays` with the dtype of byte strings as wide as the widest."""
        described = {}
        for name, array in self.arrays.items():
            widths = {
                np.dtype(noted["dtype"])
                for shard in self.shards
                for noted in shard["files"].values()
                if noted["array"] == name
            }
            strings = array["dtype"] == "S" and widths
            dtype = np.result_type(*widths).str if strings else array["dtype"]
            described[name] = {**array, "dtype": dtype}
        return described

    def _note(self, shard):
        lines = [] if self._end else [{"arrays": self.arrays}]
        text = "".join(json.dumps(line) + "\n" for line in [*lines, shard]).encode()
        # Not "append": a line cut short by a full disk is written over.
        descriptor = os.open(self.path / PROGRESS, os.O_RDWR | os.O_CREAT, 0o666)
        with open(descriptor, "r+b") as file:
            file.truncate(self._end)
            file.seek(self._end)
            file.write(text)
        self._end += len(text)
        self.shards.append(shard)
