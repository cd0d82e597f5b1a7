import errno
import os
import signal
import threading

import ml_dtypes
import numpy as np
import pytest

from tftransfer.store import writer as writers
from tftransfer.store.entries import open_entry
from tftransfer.store.writer import write_entry


def files(store):
    return sorted(
        str(path.relative_to(store)) for path in store.rglob("*") if path.is_file()
    )


def content(entry):
    return {name: np.asarray(array) for name, array in entry.arrays.items()}


def assert_rows(entry, batch, num_rows):
    expected = batch(0, num_rows)
    assert entry.arrays.keys() == expected.keys() and entry.num_rows == num_rows
    for name, array in expected.items():
        assert np.array_equal(entry.arrays[name], array)
        assert entry.arrays[name].dtype == array.dtype


def test_appends_of_any_length_become_one_entry(store, batch, monkeypatch):
    monkeypatch.setattr(writers, "_SHARD_BYTES", 150)
    with write_entry("key", description="numbers") as writer:
        assert writer.entry is None and writer.rows_done == 0
        start = 0
        for count in (1, 7, 0, 20, 2):
            writer.append(batch(start, count))
            start += count
            assert writer.num_rows == start
            assert open_entry("key") is None
        entry = writer.finish(engine="tensorflow", relative_error=1e-6)
    assert entry is writer.entry and entry.extra["engine"] == "tensorflow"
    assert_rows(entry, batch, 30)
    entry.close()
    assert_rows(open_entry("key"), batch, 30)
    assert [path for path in files(store) if "activations" in path] == [
        f"entries/key/activations-0000{number}.npy" for number in range(3)
    ]
    assert not [path for path in files(store) if "progress" in path]


@pytest.mark.parametrize("rank", [1, 2, 3, 4])
@pytest.mark.parametrize(
    "dtype", ["float16", "float32", "float64", "uint8", "int32", "bool", "S2"]
)
def test_every_rank_and_dtype_comes_back(store, rng, rank, dtype):
    rows = rng.integers(0, 99, (6, 2, 3, 2)[:rank]).astype(dtype)
    with write_entry("key") as writer:
        writer.append({"rows": rows[:2]})
        writer.append({"rows": rows[2:]})
        with writer.finish() as entry:
            assert np.array_equal(entry.arrays["rows"], rows)
            assert entry.arrays["rows"].dtype == rows.dtype


def test_bfloat16_takes_two_bytes_and_reads_as_float32(store, rng):
    rows = rng.standard_normal((50, 8)).astype(ml_dtypes.bfloat16)
    with write_entry("key") as writer:
        writer.append({"rows": rows})
        entry = writer.finish()
    assert entry.arrays["rows"].dtype == np.float32
    assert np.array_equal(entry.arrays["rows"], rows.astype("float32"))
    assert entry.num_bytes == 50 * 8 * 2 + 128  # the header of a .npy file


def test_a_buffer_used_again_by_the_caller_does_no_harm(store):
    buffer = np.zeros((2, 3))
    with write_entry("key") as writer:
        for value in (1, 2):
            buffer[:] = value
            writer.append({"rows": buffer})
        entry = writer.finish()
    assert entry.arrays["rows"][:, 0].tolist() == [1, 1, 2, 2]


def test_no_rows_are_rows_too(store):
    with write_entry("key") as writer:
        writer.append({"rows": np.zeros((0, 3), "float32")})
        entry = writer.finish()
    assert entry.arrays["rows"].shape == (0, 3) and entry.num_rows == 0
    entry.close()
    assert np.asarray(open_entry("key").arrays["rows"]).shape == (0, 3)


def test_the_shards_of_a_slow_writer_are_smaller(store, batch, monkeypatch):
    monkeypatch.setattr(writers, "_SHARD_SECONDS", 0)
    with write_entry("key") as writer:
        for start in (0, 4):
            writer.append(batch(start))
        writer.finish()
    assert len(list((store / "entries" / "key").glob("labels-*"))) == 2


def test_a_whole_entry_leaves_nothing_to_do(store, write, batch):
    write("key")
    with write_entry("key") as writer:
        assert_rows(writer.entry, batch, 8)
        with pytest.raises(ValueError, match=r"Received: Entry\(num_rows=8"):
            writer.append(batch(0))
    assert_rows(writer.entry, batch, 8)


def test_interrupted_writing_is_resumed_with_equal_rows(store, write, batch):
    with pytest.raises(KeyboardInterrupt):
        with write_entry("key") as writer:
            writer.append(batch(0))
            writer.append(batch(4))
            raise KeyboardInterrupt
    assert open_entry("key") is None
    again = write("key", 16)
    assert again.rows_done == 8 and again.num_rows == 16
    assert_rows(open_entry("key"), batch, 16)


def test_leaving_without_rows_leaves_nothing(store):
    with write_entry("key"):
        pass
    assert files(store) == []


KILLED = """
with write_entry("key", description="d") as writer:
    for start in range(writer.rows_done, 0 if writer.entry else 40, 4):
        if start == 20:
            {stop}
        writer.append(batch(start))
    writer.entry or writer.finish(engine="none")
"""


def test_kill_9_is_resumed_at_the_last_whole_shard(store, other_process, batch):
    process = other_process(KILLED.format(stop="pause()"))
    assert process.stdout.readline() == "here\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert open_entry("key") is None
    with write_entry("key", description="d") as writer:
        assert writer.rows_done == 20
        writer.append(batch(20, 20))
        resumed = writer.finish(engine="none")
    with write_entry("other", description="d") as writer:
        writer.append(batch(0, 40))
        straight = writer.finish(engine="none")
    assert_rows(resumed, batch, 40)
    assert (resumed.extra, resumed.description) == (straight.extra, "d")
    for name, array in content(straight).items():
        assert np.array_equal(resumed.arrays[name], array)


def test_kill_9_inside_a_shard_is_resumed_before_it(store, other_process, batch):
    half = (
        "from tftransfer.store import attempt; real = attempt.write_rows\n"
        "            def half(path, batches):\n"
        "                noted = real(path, batches)\n"
        "                if path.name.startswith('labels'): pause()\n"
        "                return noted\n"
        "            attempt.write_rows = half"
    )
    process = other_process(KILLED.format(stop=half))
    assert process.stdout.readline() == "here\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (store / "attempts" / "key" / "labels-00005.npy").exists()
    with write_entry("key") as writer:
        assert writer.rows_done == 20
        assert not (store / "attempts" / "key" / "labels-00005.npy").exists()
        writer.append(batch(20, 20))
        assert_rows(writer.finish(), batch, 40)


def test_a_shard_damaged_between_kill_and_resume_is_written_again(
    store, write, batch, small_shards
):
    with write_entry("key") as writer:
        for start in (0, 4, 8):
            writer.append(batch(start))
    path = store / "attempts" / "key" / "labels-00001.npy"
    path.write_bytes(path.read_bytes()[:-1] + b"\1")
    assert write("key", 16).rows_done == 4
    assert_rows(open_entry("key"), batch, 16)


def test_the_second_of_two_processes_waits_and_takes_what_the_first_wrote(
    store, other_process, batch, monkeypatch, capsys
):
    monkeypatch.setattr(writers, "_PATIENCE", 0)
    first = other_process(KILLED.format(stop="pause()"))
    assert first.stdout.readline() == "here\n"
    found = []

    def second():
        with write_entry("key") as writer:
            found.append(writer.entry)

    thread = threading.Thread(target=second)
    thread.start()
    thread.join(0.3)
    assert thread.is_alive() and not found
    first.stdin.write("\n")
    first.stdin.flush()
    thread.join(20)
    assert_rows(found[0], batch, 40)
    assert capsys.readouterr().out == (
        f"Waiting for process {first.pid}, which writes the same rows (key).\n"
    )


def test_the_second_of_two_processes_goes_on_where_the_first_was_killed(
    store, other_process, batch
):
    first = other_process(KILLED.format(stop="pause()"))
    assert first.stdout.readline() == "here\n"
    second = other_process("print('here', flush=True)\n" + KILLED.format(stop="pass"))
    assert second.stdout.readline() == "here\n"
    first.send_signal(signal.SIGKILL)
    second.communicate(timeout=20)
    assert second.returncode == 0
    assert_rows(open_entry("key"), batch, 40)


def test_many_processes_at_once_write_one_entry(store, other_process, batch):
    code = KILLED.format(stop="print('wrote')")
    processes = [other_process(code) for _ in range(4)]
    outputs = [process.communicate(timeout=20) for process in processes]
    assert [errors for _, errors in outputs] == [""] * 4
    wrote = [text.count("wrote") for text, _ in outputs]
    assert sorted(wrote) == [0, 0, 0, 1]
    assert_rows(open_entry("key"), batch, 40)


def test_the_same_key_twice_in_one_thread_is_refused(store, batch):
    with write_entry("key") as writer:
        with pytest.raises(ValueError, match="Received: key='key'. Finish or leave"):
            with write_entry("key"):
                pass
        writer.append(batch(0))
        writer.finish()
        with write_entry("key") as again:
            assert_rows(again.entry, batch, 4)


def test_a_full_disk_keeps_what_is_whole(store, other_process, write, batch):
    process = other_process(
        "import resource\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "try:\n"
        "    with write_entry('key') as writer:\n"
        "        writer.append(batch(0))\n"
        "        writer.append(batch(4, 20_000))\n"
        "except OSError as error:\n"
        "    print(error.errno, error)\n"
    )
    output, errors = process.communicate(timeout=20)
    assert errors == "" and output.startswith(f"{errno.EFBIG} Cannot write to '")
    assert "File too large. 4 rows are kept. Make room there, or set TFTR" in output
    assert not (store / "attempts" / "key" / "activations-00001.npy").exists()
    assert write("key", 8).rows_done == 4
    assert_rows(open_entry("key"), batch, 8)


def test_a_disk_that_fills_up_at_the_end_keeps_the_rows(
    store, write, batch, monkeypatch
):
    def fail(place, manifest):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(writers, "write_manifest", fail)
        with pytest.raises(OSError, match="left on device. 8 rows are kept.") as error:
            write("key")
    assert error.value.errno == errno.ENOSPC and open_entry("key") is None
    assert write("key").rows_done == 8
    assert_rows(open_entry("key"), batch, 8)


def test_what_does_not_fit_is_refused_before_the_work(store, monkeypatch):
    monkeypatch.setenv("TFTRANSFER_CACHE_BYTES", "1000")
    with pytest.raises(ValueError, match="must be at most 1,000.*num_bytes=1,001"):
        with write_entry("key", num_bytes=1001):
            pass
    assert files(store) == []
    with write_entry("key", num_bytes=1000):
        pass


def test_a_limit_reached_on_the_way_keeps_what_is_whole(
    store, write, batch, small_shards, monkeypatch
):
    monkeypatch.setenv("TFTRANSFER_CACHE_BYTES", "2000")
    with pytest.raises(ValueError, match="Received: num_bytes="):
        write("key", 40)
    monkeypatch.setenv("TFTRANSFER_CACHE_BYTES", "100000")
    assert write("key", 40).rows_done > 0
    assert_rows(open_entry("key"), batch, 40)


def test_writing_evicts_what_is_old(store, write, monkeypatch):
    write("old")
    os.utime(store / "entries" / "old" / "manifest.json", (0, 0))
    write("young")
    size = open_entry("young").num_bytes
    monkeypatch.setenv("TFTRANSFER_CACHE_BYTES", str(6 * size))
    write("new", num_bytes=size)
    names = sorted(path.name for path in (store / "entries").iterdir())
    assert names == ["new", "young"]


def test_a_temporary_entry_is_removed_when_closed(store, batch):
    with write_entry(None) as writer:
        writer.append(batch(0))
        entry = writer.finish(views=2)
    assert_rows(entry, batch, 4)
    assert entry.key is None and entry.extra == {"views": 2}
    assert len(files(store)) == 4  # two arrays, the manifest, the lock
    entry.close()
    assert files(store) == []


def test_a_temporary_entry_lives_as_long_as_its_arrays(store, batch):
    with write_entry(None) as writer:
        writer.append(batch(0))
        labels = writer.finish().arrays["labels"]
    del writer
    assert labels[3] == 3
    del labels
    assert files(store) == []


def test_an_unfinished_temporary_entry_is_removed(store, batch, small_shards):
    with write_entry(None) as writer:
        writer.append(batch(0))
    assert files(store) == []


def test_a_temporary_entry_is_removed_when_the_process_ends(store, other_process):
    process = other_process(
        "with write_entry(None) as writer:\n"
        "    writer.append(batch(0))\n"
        "    entry = writer.finish()\n"
        "print(len(list(entry.path.iterdir())))\n"
    )
    assert process.communicate(timeout=20) == ("3\n", "")
    assert files(store) == []


def test_rows_of_another_kind_are_refused(store, batch):
    with write_entry("key") as writer:
        writer.append(batch(0))
        for wrong in (
            {"activations": np.zeros((4, 3), "float32")},
            {"activations": np.zeros((4, 2), "float32"), "labels": np.arange(4)},
            {"activations": np.zeros((4, 3), "float64"), "labels": np.arange(4)},
        ):
            with pytest.raises(ValueError, match="must be like the rows before.*Rec"):
                writer.append(wrong)
        assert_rows(writer.finish(), batch, 4)


def test_kept_rows_of_another_kind_are_discarded(store, write, batch):
    with write_entry("key") as writer:
        writer.append({"activations": np.zeros((4, 9)), "labels": np.zeros(4)})
    with pytest.raises(ValueError, match="kept of them is discarded: start again"):
        write("key")
    assert write("key").rows_done == 0
    assert_rows(open_entry("key"), batch, 8)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({}, r"Received: rows=\{\}"),
        ({"a": np.zeros(2), "b": np.zeros(3)}, r"Received: rows=\{'a': 2, 'b': 3\}"),
        ({"a/b": np.zeros(2)}, "Received: 'a/b'. Rename it"),
        ({"a": 1.0}, r"Received: arrays\['a'\]=1.0"),
    ],
)
def test_arrays_that_are_none_are_refused(store, arrays, message):
    with write_entry("key") as writer:
        with pytest.raises(ValueError, match=message):
            writer.append(arrays)


def test_text_is_refused(store):
    with write_entry("key") as writer:
        with pytest.raises(TypeError, match="Received: dtype <U4"):
            writer.append({"a": np.array(["text"])})


def test_finishing_nothing_is_refused(store):
    with write_entry("key") as writer:
        with pytest.raises(ValueError, match="Received: no arrays"):
            writer.finish()


def test_what_is_no_plain_value_is_refused(store, batch):
    with pytest.raises(TypeError, match="Received: description=<object"):
        with write_entry("key", description=object()):
            pass
    with write_entry("key") as writer:
        writer.append(batch(0))
        with pytest.raises(TypeError, match="Received: extra={'rate': array"):
            writer.finish(rate=np.zeros(1))


def test_a_writer_left_behind_is_refused(store, batch):
    with write_entry("key") as writer:
        writer.append(batch(0))
    with pytest.raises(ValueError, match="Received: a writer that was left after 4"):
        writer.append(batch(4))
