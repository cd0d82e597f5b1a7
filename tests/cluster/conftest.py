import contextlib
import os
import pathlib
import signal

import pytest


@pytest.fixture(scope="module")
def ray():
    """A Ray that the tests share, as to begin one takes seconds."""
    ray = pytest.importorskip("ray")
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield ray
    ray.shutdown()


@pytest.fixture
def kill_a_worker():
    """Return a function that kills one process of Ray that answers."""

    def kill():
        for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):  # a process that has ended since
                if b"ray::MapWorker" in path.read_bytes():
                    os.kill(int(path.parent.name), signal.SIGKILL)
                    return int(path.parent.name)
        raise LookupError("no process of Ray is answering")

    return kill
