import subprocess
import sys

import numpy as np
import pytest

from tftransfer.store import writer


@pytest.fixture
def store(tmp_path, monkeypatch):
    """An empty store with a limit of 1 GB, the default one of the test."""
    monkeypatch.setenv("TFTRANSFER_CACHE", str(tmp_path / "store"))
    monkeypatch.setenv("TFTRANSFER_CACHE_BYTES", "1000000000")
    return tmp_path / "store"


@pytest.fixture
def small_shards(monkeypatch):
    """Every append makes a shard."""
    monkeypatch.setattr(writer, "_SHARD_BYTES", 1)


def make_batch(start, count=4):
    numbers = np.arange(start, start + count)
    return {
        "activations": (numbers[:, None] + np.arange(3) / 10).astype("float32"),
        "labels": numbers,
    }


@pytest.fixture
def batch():
    """`batch(start, count=4)`: rows that tell their own number."""
    return make_batch


@pytest.fixture
def write(batch):
    """`write(key, num_rows=8)`: store an entry in appends of 4 rows and close it."""

    def write_rows(key, num_rows=8, **options):
        with writer.write_entry(key, **options) as rows:
            for start in range(rows.rows_done, num_rows, 4):
                rows.append(batch(start, min(4, num_rows - start)))
            rows.finish().close()
        return rows

    return write_rows


_START = """\
import signal, sys
import numpy as np
from tftransfer.store import writer
from tftransfer.store.entries import open_entry
from tftransfer.store.writer import write_entry

writer._SHARD_BYTES = 1

def batch(start, count=4):
    numbers = np.arange(start, start + count)
    return {
        "activations": (numbers[:, None] + np.arange(3) / 10).astype("float32"),
        "labels": numbers,
    }

def pause():
    print("here", flush=True)
    sys.stdin.readline()

"""


@pytest.fixture
def other_process():
    """`other_process(code)`: a process that knows batch() and pause(), ended after."""
    started = []

    def start(code):
        process = subprocess.Popen(
            [sys.executable, "-c", _START + code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            pipe.close()
