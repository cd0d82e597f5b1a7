import bz2
import csv
import gzip
import lzma

import pytest

from tftransfer.data.table_rows import read_rows

TABLE = 'text,label\n"one, two",a\n\n"on three\nlines\n",b\nlast,c\n'


def write(folder, name, content):
    (folder / name).write_bytes(
        content if isinstance(content, bytes) else content.encode()
    )
    return folder / name


def test_rows_are_numbered_by_the_line_where_they_begin(tmp_path):
    rows, columns = read_rows(write(tmp_path, "a.csv", TABLE))
    assert columns == ["text", "label"]
    assert rows == {
        2: {"text": "one, two", "label": "a"},
        4: {"text": "on three\nlines\n", "label": "b"},
        7: {"text": "last", "label": "c"},
    }


@pytest.mark.parametrize("pack", [gzip, lzma, bz2])
def test_packed_tables_are_unpacked(tmp_path, pack):
    suffix = {gzip: "gz", lzma: "xz", bz2: "bz2"}[pack]
    packed = write(tmp_path, f"a.csv.{suffix}", pack.compress(TABLE.encode()))
    assert read_rows(packed) == read_rows(write(tmp_path, "a.csv", TABLE))


def test_tabs_separate_the_cells_of_tsv(tmp_path):
    rows, _ = read_rows(write(tmp_path, "a.TSV", "text\tlabel\nwith, comma\t1\n"))
    assert rows == {2: {"text": "with, comma", "label": "1"}}


def test_json_lines_keep_their_types_and_lack_nothing(tmp_path):
    lines = '{"text": "é", "label": 1}\n\n{"text": null, "more": NaN}\n'
    rows, columns = read_rows(write(tmp_path, "a.jsonl", lines))
    assert columns == ["text", "label", "more"]
    assert rows[1] == {"text": "é", "label": 1, "more": None}
    assert rows[3]["text"] is rows[3]["label"] is None and rows[3]["more"] != 0


def test_short_rows_are_filled_and_blank_cells_at_the_end_are_dropped(tmp_path):
    rows, _ = read_rows(write(tmp_path, "a.csv", "a,b,c\n1\n1,2,3,,\n"))
    assert rows == {
        2: {"a": "1", "b": None, "c": None},
        3: {"a": "1", "b": "2", "c": "3"},
    }


def test_a_comma_without_quotes_is_named_by_row(tmp_path):
    table = write(tmp_path, "a.csv", "text,label\nfine,a\ngood, not bad,b\n")
    with pytest.raises(ValueError, match=r"Received: 3 cells in row 3, for.*quotes"):
        read_rows(table)


def test_bytes_that_are_no_utf8_come_back_and_the_mark_goes(tmp_path):
    rows, columns = read_rows(write(tmp_path, "a.csv", b"\xef\xbb\xbftext\ncaf\xe9\n"))
    assert columns == ["text"]
    assert rows[2]["text"].encode("utf-8", "surrogateescape") == b"caf\xe9"


def test_a_cell_may_hold_a_whole_book_and_the_limit_of_the_process_stays(tmp_path):
    limit = csv.field_size_limit()
    rows, _ = read_rows(write(tmp_path, "a.csv", f"text\n{'x' * 2**20}\n"))
    assert len(rows[2]["text"]) == 2**20 and csv.field_size_limit() == limit


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("a.csv.gz", b"no gzip", "Received: csv=.*a.csv.gz', which is not to be read"),
        (
            "a.csv.xz",
            lzma.compress(b"text\n" * 99)[:50],
            "Received: csv=.*not to be re",
        ),
        ("a.csv", b"text\n", r"Received: csv=.* with columns \['text'\] and no rows"),
        ("a.csv", b"", r"Received: csv=.* with columns \[\] and no rows"),
        ("a.jsonl", b'{"a": 1}\n[1]\n', r"Received: '\[1\]' in line 2. Write one obj"),
        ("a.jsonl", b'{"a": 1},\n', r"Received: '\{\"a\": 1\},' in line 1"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path, name, content, text):
    with pytest.raises(ValueError, match=text):
        read_rows(write(tmp_path, name, content))
