import os
import signal

import pytest

from tftransfer.store.entries import open_entry
from tftransfer.store.eviction import (
    available_bytes,
    list_places,
    make_room,
    size_limit,
    sweep,
)
from tftransfer.store.location import store_folder
from tftransfer.store.writer import write_entry


@pytest.fixture
def three(store, write):
    """Entries a, b and c, used last in the order b, c, a."""
    for key in "abc":
        write(key)
    for age, key in enumerate("acb"):
        os.utime(store / "entries" / key / "manifest.json", (1000 - age, 1000 - age))
    return store


def kept(store):
    return "".join(sorted(path.name for path in (store / "entries").iterdir()))


def sizes(store):
    return {place.path.name: place.num_bytes for place in list_places(store)}


def limit_to(monkeypatch, num_bytes):
    monkeypatch.setenv("TFTRANSFER_CACHE_BYTES", str(num_bytes))


def test_the_least_recently_used_goes_first(three, monkeypatch):
    limit_to(monkeypatch, sum(sizes(three).values()))
    make_room(0)
    assert kept(three) == "abc"
    make_room(1)
    assert kept(three) == "ac"
    make_room(sizes(three)["a"])
    assert kept(three) == "ac"
    make_room(sizes(three)["a"] + 1000)
    assert kept(three) == "a"


def test_opening_saves_from_eviction(three, monkeypatch):
    limit_to(monkeypatch, sum(sizes(three).values()))
    open_entry("b").close()
    make_room(1)
    assert kept(three) == "ab"


def test_what_is_open_stays(three, monkeypatch):
    limit_to(monkeypatch, sum(sizes(three).values()))
    with open_entry("b"):
        os.utime(three / "entries" / "b" / "manifest.json", (0, 0))
        make_room(1)
        assert kept(three) == "ab"


def test_what_another_process_has_open_stays(three, monkeypatch, other_process):
    limit_to(monkeypatch, sum(sizes(three).values()))
    process = other_process(
        "entry = open_entry('b')\npause()\nprint(entry.arrays['labels'][:].sum())\n"
    )
    assert process.stdout.readline() == "here\n"
    os.utime(three / "entries" / "b" / "manifest.json", (0, 0))
    make_room(1)
    assert kept(three) == "ab"
    with pytest.raises(ValueError, match="Received: num_bytes="):
        make_room(sum(sizes(three).values()) + 1000)
    assert kept(three) == "ab"
    assert process.communicate("\n")[0] == "28\n"  # 0 + 1 + ... + 7
    make_room(size_limit())
    assert kept(three) == ""


def test_what_is_being_written_stays(three, batch, small_shards, monkeypatch):
    with write_entry("new") as writer:
        writer.append(batch(0))
        limit_to(monkeypatch, sum(sizes(three).values()))
        os.utime(three / "attempts" / "new", (0, 0))
        make_room(1)
        assert kept(three) == "ac" and (three / "attempts" / "new").is_dir()
        writer.finish()


def test_an_interrupted_attempt_is_evicted_like_an_entry(
    three, batch, small_shards, monkeypatch
):
    with write_entry("new") as writer:
        writer.append(batch(0))
    limit_to(monkeypatch, sum(sizes(three).values()))
    os.utime(three / "attempts" / "new", (0, 0))
    make_room(1)
    assert kept(three) == "abc" and not (three / "attempts" / "new").exists()


def test_what_cannot_fit_is_refused_and_nothing_evicted(three, monkeypatch):
    limit_to(monkeypatch, 5000)
    message = r"`num_bytes` must be at most 5,000, .* Received: num_bytes=5,001\. Set"
    with pytest.raises(ValueError, match=message):
        make_room(5001)
    assert kept(three) == "abc"
    make_room(5000)
    assert kept(three) == ""


def test_a_disk_too_small_is_refused(three, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: Usage(500))
    with pytest.raises(ValueError, match="Received: num_bytes=1,000,000"):
        make_room(1_000_000)
    make_room(600)
    assert kept(three) == "ac"


class Usage:
    def __init__(self, free):
        self.free = free


def test_the_default_limit_is_a_quarter_of_what_the_store_could_have(
    three, monkeypatch
):
    monkeypatch.delenv("TFTRANSFER_CACHE_BYTES")
    monkeypatch.setattr("shutil.disk_usage", lambda path: Usage(10**6))
    assert size_limit() == (10**6 + sum(sizes(three).values())) // 4


def test_available_bytes_counts_what_could_be_evicted(three, monkeypatch):
    limit_to(monkeypatch, 10_000)
    assert available_bytes() == 10_000
    with open_entry("b"):
        assert available_bytes() == 10_000 - sizes(three)["b"]
        make_room(available_bytes())
    assert kept(three) == "b"


@pytest.mark.parametrize("text", ["10 GB", "-1", "1e9"])
def test_a_limit_that_is_no_number_is_refused(store, monkeypatch, text):
    limit_to(monkeypatch, text)
    with pytest.raises(ValueError, match=f"Received: TFTRANSFER_CACHE_BYTES='{text}'"):
        size_limit()


def test_temporary_entries_of_dead_processes_are_swept(store, batch, other_process):
    process = other_process(
        "with write_entry(None) as writer:\n"
        "    writer.append(batch(0))\n"
        "    entry = writer.finish()\n"
        "    pause()\n"
    )
    assert process.stdout.readline() == "here\n"
    sweep(store_folder())
    assert [place.room for place in list_places(store)] == ["temporary"]
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert [place.room for place in list_places(store)] == ["temporary"]
    sweep(store_folder())
    assert list_places(store) == [] and not list((store / "locks").iterdir())
