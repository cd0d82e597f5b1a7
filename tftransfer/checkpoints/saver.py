"""When to write a checkpoint, and writing it beside the training."""

import concurrent.futures
import time

from tftransfer.checks import check_whole_number

_SHARE = 100  # times its cost pass between two checkpoints: 1 % of the time
_LEAST = 5.0  # seconds between two, however cheap


def check_every(checkpoint_every):
    """Raise unless `checkpoint_every` is `"auto"` or a number of batches."""
    if checkpoint_every != "auto":
        advice = 'Pass "auto" for one percent of the training time.'
        check_whole_number("checkpoint_every", checkpoint_every, 1, advice)


def explain(error, directory):
    """Return an `OSError` that says what a failed checkpoint means.

    Args:
        error: The `OSError` of writing.
        directory: Folder of the checkpoints.
    """
    return OSError(
        error.errno,
        f"a checkpoint could not be written ({error.strerror or error}). Training "
        "stops; checkpoints before it are as they were. Make room and start again, "
        "to go on from the newest",
        str(directory),
    )


class Saver:
    """Writes checkpoints in a thread of its own, at most one at a time.

    Args:
        folder: `CheckpointFolder`.
        every: Number of batches from one checkpoint to the next, or `"auto"`: as often
            as costs a hundredth of the training time, copies and writing together.
        copies: `Copies` of the model. Several workers read their state at the same
            time, so by no clock: `"auto"` means the end of each epoch.

    Attributes:
        seconds: What checkpoints took so far: of the training thread, and the
            processor time of the writing one.
    """

    def __init__(self, folder, every, copies):
        self._folder, self._every, self._copies = folder, every, copies
        self._writer = concurrent.futures.ThreadPoolExecutor(1)
        self._written: concurrent.futures.Future | None = None
        self._batches, self._last, self._cost = 0, time.perf_counter(), 0.0
        self.seconds = 0.0

    def count(self, batches):
        """Note that so many batches were trained on."""
        self._batches += batches

    def is_due(self, at_end=False):
        """Whether it is time for a checkpoint, and the last one is written.

        Args:
            at_end: Whether an epoch has ended.
        """
        if self._copies.of_workers:
            if self._every == "auto":
                return at_end
            return self._batches >= self._every
        if self._written is not None and not self._written.done():
            return False
        self.wait()
        if self._every != "auto":
            return self._batches >= self._every
        passed = time.perf_counter() - self._last
        return passed >= max(_LEAST, _SHARE * self._cost)

    def save(self, read):
        """Copy the state now, write it while training goes on.

        Args:
            read: Function that returns a JSON structure and a list of arrays.

        Raises:
            OSError: If the checkpoint before could not be written.
        """
        self.wait()
        started = time.perf_counter()
        content, arrays = read()
        self._cost = time.perf_counter() - started
        self.seconds += self._cost
        self._batches, self._last = 0, time.perf_counter()
        self._written = self._writer.submit(self._write, content, arrays)

    def wait(self):
        """Wait until what was saved is written.

        Raises:
            OSError: If it could not be.
        """
        if self._written is None:
            return
        written, self._written = self._written, None
        try:
            seconds = written.result()
        except OSError as error:
            failure = explain(error, self._folder.directory)
            raise failure from error
        self._cost += seconds
        self.seconds += seconds

    def close(self):
        """Wait for the last checkpoint and end the thread."""
        try:
            self.wait()
        finally:
            self._writer.shutdown()

    def _write(self, content, arrays):
        started = time.thread_time()
        self._folder.write(content, arrays)
        return time.thread_time() - started
