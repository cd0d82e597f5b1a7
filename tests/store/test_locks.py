import errno
import os
import signal
import types

import pytest

from tftransfer.store import locks
from tftransfer.store.locks import make_shared, remove_lock, try_lock, writer_process


class ByteRanges:
    """Stands in for Windows' `msvcrt`: exclusive, non-blocking locks of bytes."""

    LK_NBLCK = 2

    def __init__(self):
        self.held = {}  # descriptor -> (file, first byte, one past the last)

    def locking(self, descriptor, mode, length):
        assert mode == self.LK_NBLCK
        file = os.fstat(descriptor).st_ino
        start = os.lseek(descriptor, 0, os.SEEK_CUR)
        self.held.pop(descriptor, None)  # of a closed file of the same number
        for other, (other_file, first, end) in self.held.items():
            overlaps = first < start + length and start < end
            if overlaps and file == other_file == _number(other):
                raise PermissionError(errno.EACCES, "locked")
        self.held[descriptor] = file, start, start + length


def _number(descriptor):
    try:
        return os.fstat(descriptor).st_ino
    except OSError:
        return None  # closed, and its lock gone


@pytest.fixture(params=["fcntl", "msvcrt"])
def path(request, tmp_path, monkeypatch):
    if request.param == "msvcrt":
        monkeypatch.setattr(locks, "fcntl", None)
        monkeypatch.setattr(locks, "msvcrt", ByteRanges(), raising=False)
    return tmp_path / "a.lock"


def test_an_exclusive_lock_keeps_everybody_out(path):
    lock = try_lock(path)
    assert try_lock(path) is None and try_lock(path, shared=True) is None
    lock.release()
    assert try_lock(path) is not None


def test_shared_locks_keep_only_exclusive_ones_out(path):
    held = [try_lock(path, shared=True) for _ in range(20)]
    assert None not in held
    assert try_lock(path) is None
    for lock in held:
        lock.release()
        lock.release()  # twice does no harm
    assert try_lock(path) is not None


def test_a_collected_lock_is_released(path):
    try_lock(path)
    assert try_lock(path) is not None


def test_an_exclusive_lock_becomes_shared(path):
    lock = make_shared(try_lock(path))
    assert try_lock(path) is None
    assert try_lock(path, shared=True) is not None
    assert lock.path == path
    assert [file.name for file in path.parent.iterdir()] == ["a.lock"]


def test_a_removed_lock_file_stands_in_nobodys_way(path):
    reader = try_lock(path, shared=True)
    remove_lock(try_lock(path, shared=True))
    assert try_lock(path) is not None
    reader.release()


def test_the_writer_leaves_its_number(path):
    assert writer_process(path) is None
    lock = try_lock(path)
    assert writer_process(path) == os.getpid()
    lock.release()


def test_a_lock_on_a_file_replaced_in_the_meantime_is_tried_again(path, monkeypatch):
    opened, real_open = [], os.open

    def open_and_replace(name, *options):
        descriptor = real_open(name, *options)
        if name == path and not opened:
            opened.append(name)
            path.unlink()
            path.touch()
        return descriptor

    monkeypatch.setattr(os, "open", open_and_replace)
    lock = try_lock(path)
    monkeypatch.undo()
    assert os.path.samestat(path.stat(), os.stat(lock.path))
    assert len(opened) == 1


def test_a_disk_without_locks_is_said_so(tmp_path, monkeypatch):
    def refuse(descriptor, kind):
        raise OSError(errno.ENOLCK, "No locks available")

    fake = types.SimpleNamespace(flock=refuse, LOCK_SH=1, LOCK_EX=2, LOCK_NB=4)
    monkeypatch.setattr(locks, "fcntl", fake)
    with pytest.raises(OSError, match="Cannot lock '.*No locks available. Set the"):
        try_lock(tmp_path / "a.lock")


def test_kill_9_releases_a_lock(tmp_path, other_process):
    path = tmp_path / "a.lock"
    process = other_process(
        "import pathlib\nfrom tftransfer.store.locks import try_lock\n"
        f"lock = try_lock(pathlib.Path({str(path)!r}))\npause()\n"
    )
    assert process.stdout.readline() == "here\n"
    assert try_lock(path) is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert try_lock(path) is not None
