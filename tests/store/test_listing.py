import os

import pytest

from tftransfer.store.entries import open_entry
from tftransfer.store.listing import clear_entries, format_bytes, list_entries
from tftransfer.store.writer import write_entry


@pytest.fixture
def filled(store, write, batch, small_shards):
    """An old entry, a younger one, and an interrupted attempt of 4 rows."""
    write("aaaa", description={"layer": "features", "engine": "openvino"})
    write("aabb", 12, description="validation")
    with write_entry("cccc") as writer:
        writer.append(batch(0))
    os.utime(store / "entries" / "aaaa" / "manifest.json", (1000, 1000))
    os.utime(store / "entries" / "aabb" / "manifest.json", (2000, 2000))
    return store


def test_every_entry_is_described_the_last_used_first(filled):
    listing = list_entries()
    assert [
        (entry.key, entry.num_rows, entry.state, entry.in_use, entry.description)
        for entry in listing.entries
    ] == [
        ("cccc", 4, "interrupted", False, None),
        ("aabb", 12, "whole", False, "validation"),
        ("aaaa", 8, "whole", False, {"layer": "features", "engine": "openvino"}),
    ]
    assert listing.entries[2].last_used == 1000
    assert listing.entries[1].num_bytes == sum(
        path.stat().st_size for path in (filled / "entries" / "aabb").iterdir()
    )
    assert (listing.folder, listing.limit) == (filled, 10**9)


def test_the_table_has_a_line_for_each_and_the_total(filled):
    with open_entry("aabb"):
        header, *rows, empty, total = str(list_entries()).splitlines()
    assert header.split() == ["key", "rows", "size", "last", "used", "state", "descr"
                              "iption"]  # fmt: skip
    assert rows[0].split()[:2] == ["aabb", "12"]
    assert rows[0].endswith("just now  whole, in use  validation")
    assert rows[1].split()[0] == "cccc" and rows[1].endswith("interrupted")
    assert rows[2].endswith("days ago  whole          layer=features, engine=openvino")
    assert empty == "" and total.endswith(f"kB of 1.0 GB in {filled}")


def test_an_empty_store_says_where_it_is(store):
    assert str(list_entries()) == f"empty: 0 bytes of 1.0 GB in {store}"


def test_states_of_entries_that_are_not_whole(store, write, batch, small_shards):
    write("damaged")
    (store / "entries" / "damaged" / "manifest.json").write_text("{")
    with write_entry("written") as writer, write_entry(None) as temporary:
        for rows in (writer, temporary):
            rows.append(batch(0))
        states = {entry.state: entry for entry in list_entries().entries}
    assert states.keys() == {"damaged", "being written", "temporary"}
    assert states["being written"].in_use and states["temporary"].num_rows == 4


def test_clearing_removes_everything_not_in_use(filled):
    with open_entry("aaaa") as entry:
        removed, left = clear_entries()
        assert sorted(row.key for row in removed) == ["aabb", "cccc"]
        assert [row.key for row in left] == ["aaaa"]
        assert entry.arrays["labels"][7] == 7
    assert [row.key for row in clear_entries()[0]] == ["aaaa"]
    assert list_entries().entries == ()
    assert not list((filled / "locks").iterdir())


def test_clearing_takes_keys_and_their_starts(filled):
    removed, left = clear_entries(["aabb", "c"])
    assert sorted(row.key for row in removed) == ["aabb", "cccc"] and not left


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("aa", "Received: 'aa', which 2 have. Did you mean"),
        ("zzzzzz", "Received: 'zzzzzz', which 0 have. `tftransfer cache list` shows"),
    ],
)
def test_a_key_of_no_one_entry_is_refused(filled, key, message):
    with pytest.raises(ValueError, match=message):
        clear_entries(["cccc", key])
    assert len(list_entries().entries) == 3


@pytest.mark.parametrize(
    ("num_bytes", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (9_949, "9.9 kB"), (999_600, "1.0 MB"),
     (17_500_000_000, "18 GB"), (5e15, "5000 TB")],
)  # fmt: skip
def test_bytes_are_said_as_people_do(num_bytes, text):
    assert format_bytes(num_bytes) == text
