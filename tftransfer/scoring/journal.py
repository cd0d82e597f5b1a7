"""What a batch prediction has answered so far, on disk, to go on from after a kill."""

import json
from pathlib import Path

from tftransfer.store.locks import remove_lock, try_lock


class Journal:
    """A file of one JSON line for each answered batch, below a line that names the job.

    A line counts once its end is there: what a kill cut off is computed again. Another
    job's journal is not gone on from; it is begun anew.

    Args:
        path: `pathlib.Path` of the file.
        job: Dictionary of JSON values that tells this job from others.

    Attributes:
        num_batches: Batches answered so far.

    Raises:
        ValueError: If another process works on the same file.

    Example:

    >>> import pathlib, tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = pathlib.Path(folder.name, "journal")
    >>> with Journal(path, {"model": "a"}) as journal:
    ...     journal.append([[0.25, 0.75]])
    >>> with Journal(path, {"model": "a"}) as journal:
    ...     journal.num_batches, list(journal)
    (1, [[[0.25, 0.75]]])
    >>> folder.cleanup()
    """

    def __init__(self, path, job):
        self.path = Path(path)
        self._lock = try_lock(self.path.with_name(f"{self.path.name}.lock"))
        if self._lock is None:
            raise ValueError(
                "`output` must not be written by another process. "
                f"Received: a journal {str(self.path)!r} that one is writing. "
                "Wait for it, or choose another output."
            )
        # Keys as they come back from JSON.
        self._head = json.loads(json.dumps(job))
        self._file = self.path.open("a+b")
        self.num_batches = self._cut_to_whole_lines()

    def _cut_to_whole_lines(self):
        self._file.seek(0)
        end, count = 0, -1
        for line in self._file:
            if not line.endswith(b"\n"):
                break
            if count < 0 and json.loads(line) != self._head:
                break
            end, count = end + len(line), count + 1
        self._file.truncate(end)
        if count < 0:
            self._write(self._head)
        return max(count, 0)

    def append(self, rows):
        """Add the rows of the next batch, plain JSON values."""
        self._write(rows)
        self.num_batches += 1

    def _write(self, content):
        self._file.write(json.dumps(content).encode() + b"\n")
        self._file.flush()

    def __iter__(self):
        """Yield the rows of each batch, in order."""
        with self.path.open("rb") as file:
            next(file)
            yield from map(json.loads, file)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._file.close()
        self._lock.release()

    def remove(self):
        """Delete the file: its content stands elsewhere now."""
        self._file.close()
        self.path.unlink()
        remove_lock(self._lock)
