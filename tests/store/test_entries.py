import os
import time

import numpy as np
import pytest

from tftransfer.store import entries
from tftransfer.store.entries import open_entry
from tftransfer.store.location import lock_path
from tftransfer.store.locks import try_lock


def alter(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def is_free(store, key):
    return try_lock(lock_path(store / "entries" / key)) is not None


def test_an_unknown_key_is_none(store):
    assert open_entry("unknown") is None


def test_what_was_written_is_read(store, write, small_shards):
    write("key", 10, description={"layer": "features"})
    with open_entry("key") as entry:
        assert (entry.key, entry.num_rows) == ("key", 10)
        assert entry.description == {"layer": "features"} and entry.extra == {}
        assert entry.path == store / "entries" / "key"
        assert np.array_equal(entry.arrays["labels"], np.arange(10))
        assert entry.arrays["activations"].shape == (10, 3)
        assert entry.num_bytes == sum(
            file.stat().st_size for file in entry.path.glob("*.npy")
        )
        assert repr(entry).startswith("Entry(num_rows=10, arrays={'activations': Sha")


def test_a_key_that_is_none_is_refused(store):
    with pytest.raises(ValueError, match=r"Received: key='\.\./x'"):
        open_entry("../x")


def test_opening_notes_the_use(store, write):
    write("key")
    manifest = store / "entries" / "key" / "manifest.json"
    os.utime(manifest, (0, 0))
    open_entry("key").close()
    assert time.time() - manifest.stat().st_mtime < 100


@pytest.mark.parametrize("end", ["close", "collect", "with"])
def test_an_entry_is_held_until_its_end(store, write, end):
    write("key")
    first, second = open_entry("key"), open_entry("key")
    second.close()
    assert not is_free(store, "key")
    if end == "with":
        with first:
            pass
    elif end == "close":
        first.close()
        first.close()
    else:
        array = first.arrays["labels"]
        del first
        assert not is_free(store, "key") and array[3] == 3
        del array
    assert is_free(store, "key")


@pytest.mark.parametrize("file", ["activations-00001.npy", "labels-00000.npy"])
@pytest.mark.parametrize("damage", ["altered", "cut short", "missing"])
def test_a_damaged_shard_is_found_and_computed_again(
    store, write, small_shards, capsys, file, damage
):
    write("key")
    path = store / "entries" / "key" / file
    if damage == "altered":
        alter(path)
    elif damage == "missing":
        path.unlink()
    else:
        os.truncate(path, path.stat().st_size - 1)
    assert open_entry("key") is None
    output = capsys.readouterr().out
    assert output.startswith("Stored rows key are damaged and were discarded: " + file)
    assert output.count("\n") == 1
    assert not path.parent.exists()
    assert write("key").rows_done == 0
    with open_entry("key") as entry:
        assert np.array_equal(entry.arrays["labels"], np.arange(8))


def test_damage_is_found_while_somebody_reads(store, write, small_shards):
    write("key")
    reader = open_entry("key")
    before = reader.arrays["labels"][:]
    time.sleep(0.12)  # from then on an unchanged file would be taken on trust
    alter(store / "entries" / "key" / "activations-00000.npy")
    assert open_entry("key") is None
    write("key")  # the old reader stands in nobody's way
    with open_entry("key") as entry:
        assert np.array_equal(entry.arrays["labels"], before)
    assert np.array_equal(reader.arrays["labels"], before)
    reader.close()


def test_a_missing_manifest_is_damage(store, write, capsys):
    write("key")
    (store / "entries" / "key" / "manifest.json").unlink()
    assert open_entry("key") is None
    assert "manifest.json is missing or cut short." in capsys.readouterr().out


def test_an_entry_that_stays_locked_is_none(store, write, monkeypatch):
    monkeypatch.setattr(entries, "_PATIENCE", 0.05)
    write("key")
    lock = try_lock(lock_path(store / "entries" / "key"))
    assert open_entry("key") is None
    lock.release()
    assert open_entry("key") is not None


def test_reading_past_the_close_is_refused(store, write):
    write("key")
    entry = open_entry("key")
    entry.close()
    with pytest.raises(ValueError, match="Received: an array of the closed entry"):
        entry.arrays["labels"][0]


def test_another_process_reads_the_same(store, write, other_process):
    write("key")
    process = other_process("print(open_entry('key').arrays['labels'][2:4])\n")
    assert process.communicate()[0] == "[2 3]\n"
