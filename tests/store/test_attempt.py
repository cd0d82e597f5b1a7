import errno
import re

import numpy as np
import pytest

from tftransfer.store import attempt as attempts
from tftransfer.store.attempt import Attempt
from tftransfer.store.progress import read_progress

KIND = {"a": {"dtype": "<i8", "row_shape": []}}


@pytest.fixture
def place(tmp_path):
    """An attempt with two shards of 3 and 2 rows."""
    attempt = Attempt(tmp_path / "key")
    attempt.arrays = KIND
    attempt.add_shard([{"a": np.arange(2)}, {"a": np.array([2])}])
    attempt.add_shard([{"a": np.arange(3, 5)}])
    return attempt.path


def names(place):
    return sorted(path.name for path in place.iterdir())


def test_whole_shards_are_kept(place):
    (place / "a-00002.npy").write_bytes(b"half a shard")
    attempt = Attempt(place)
    assert attempt.num_rows == 5 and attempt.arrays == KIND
    assert names(place) == ["a-00000.npy", "a-00001.npy", "progress.jsonl"]
    assert attempt.num_bytes == sum(
        (place / name).stat().st_size for name in names(place)[:2]
    )
    assert np.load(place / "a-00000.npy").tolist() == [0, 1, 2]


def test_a_line_cut_short_is_written_over(place):
    with open(place / "progress.jsonl", "ab") as file:
        file.write(b'{"rows": 5, "fil')
    attempt = Attempt(place)
    assert attempt.num_rows == 5
    attempt.add_shard([{"a": np.arange(5, 9)}])
    _, shards, ends = read_progress(place)
    assert [shard["rows"] for shard in shards] == [3, 2, 4]
    assert ends[-1] == (place / "progress.jsonl").stat().st_size


def test_everything_after_a_damaged_shard_is_written_again(place):
    (place / "a-00000.npy").write_bytes(b"x")
    attempt = Attempt(place)
    assert attempt.num_rows == 0 and attempt.arrays == {}
    assert names(place) == ["progress.jsonl"]
    attempt.arrays = KIND
    attempt.add_shard([{"a": np.arange(7)}])
    assert Attempt(place).num_rows == 7


def test_a_damaged_last_shard_costs_only_itself(place):
    (place / "a-00001.npy").unlink()
    assert Attempt(place).num_rows == 3


@pytest.mark.parametrize("text", [b"", b"\n", b"[]\n", b'{"rows": 3}\n', b"\xff\n"])
def test_progress_that_is_none_starts_over(place, text):
    (place / "progress.jsonl").write_bytes(text)
    assert Attempt(place).num_rows == 0


def test_clearing_forgets_everything(place):
    attempt = Attempt(place)
    attempt.clear()
    assert attempt.num_rows == 0 and names(place) == []


def test_byte_strings_are_as_wide_as_the_widest_shard(tmp_path):
    attempt = Attempt(tmp_path / "key")
    attempt.arrays = {"text": {"dtype": "S", "row_shape": []}}
    for words in ([b"a"], [b"abc"], [b"ab"]):
        attempt.add_shard([{"text": np.array(words)}])
    assert attempt.describe_arrays()["text"]["dtype"] == "|S3"


def test_a_full_disk_keeps_what_is_whole(place, monkeypatch):
    def fail(path, batches):
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    attempt = Attempt(place)
    monkeypatch.setattr(attempts, "write_rows", fail)
    message = f"Cannot write to {str(place)!r}: No space left on device. 5 rows are"
    with pytest.raises(OSError, match=re.escape(message)) as failure:
        attempt.add_shard([{"a": np.arange(5, 9)}])
    assert failure.value.errno == errno.ENOSPC
    assert not (place / "a-00002.npy").exists()
    assert Attempt(place).num_rows == 5
