import math

import pytest

from tftransfer.data.text_columns import read_texts


def rows(*cells, column="text"):
    return {line: {column: cell} for line, cell in enumerate(cells, 2)}


def test_one_column_is_taken_to_the_letter():
    texts, usable = read_texts(rows(" two  blanks ", "é\n", "42"), ["text"], "error")
    assert texts == [b" two  blanks ", "é\n".encode(), b"42"]
    assert usable.tolist() == [0, 1, 2]


def test_several_columns_are_joined_by_what_they_hold():
    table = {
        2: {"title": " Fine ", "text": "works"},
        3: {"title": "nan", "text": "works"},
        4: {"title": "Fine", "text": None},
    }
    texts, _ = read_texts(table, ["title", "text"], "error")
    assert texts == [b"Fine works", b"works", b"Fine"]
    assert read_texts(table, ["text", "title"], "error")[0][0] == b"works Fine"


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("", "empty"),
        (" \n", "empty"),
        (None, "empty"),
        ("nan", "'nan', a missing value"),
        (" <NA>", "' <NA>', a missing value"),
        (math.nan, "nan, which is no string"),
        (7, "7, which is no string"),
        (["a"], r"\['a'\], which is no string"),
    ],
)
def test_rows_without_a_text_are_refused_by_row_or_skipped(cell, reason):
    table = rows("fine", cell, "good")
    with pytest.raises(ValueError, match=rf"Received: 1 that.*row 3 \({reason}\)"):
        read_texts(table, ["text"], "error")
    with pytest.warns(UserWarning, match=rf"Skipped 1 without.*row 3 \({reason}\)"):
        texts, usable = read_texts(table, ["text"], "skip")
    assert usable.tolist() == [0, 2] and texts[2] == b"good"


@pytest.mark.parametrize("text", ["None of it", "NA", "none", "null and void", "nil"])
def test_words_that_only_look_missing_are_texts(text):
    assert read_texts(rows(text), ["text"], "error")[0] == [text.encode()]


def test_long_lists_are_cut_and_nothing_at_all_is_refused_even_when_skipping():
    with pytest.raises(ValueError, match=r"Received: 12 .*row 11 \(empty\); \.\.\.\."):
        read_texts(rows(*[""] * 12), ["text"], "skip")


def test_a_column_of_numbers_is_the_wrong_one():
    table = {2: {"text": "a", "stars": "5"}, 3: {"text": "b", "stars": "4.5"}}
    with pytest.raises(
        ValueError, match=r"\['text', 'stars'\]. Received: 'stars', .*such as '5'"
    ):
        read_texts(table, ["stars"], "error")


def test_strange_bytes_are_kept_and_told():
    with pytest.warns(UserWarning, match=r"1 text\(s\) are not UTF-8: row 2\. Their"):
        texts, _ = read_texts(rows("caf\udce9", "é"), ["text"], "error")
    assert texts == [b"caf\xe9", "é".encode()]
    with pytest.warns(UserWarning, match="not UTF-8"):
        texts, _ = read_texts(rows("half \ud83d"), ["text"], "error")
    assert texts == [b"half \xed\xa0\xbd"]
