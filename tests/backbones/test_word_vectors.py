"""Vectors of words, read as a stream from every format, and refused with the line."""

import bz2
import gzip
import lzma
import tracemalloc

import numpy as np
import pytest
from sklearn.decomposition import PCA

from tftransfer.backbones.word_vectors import (
    read_dimensions,
    read_word_vectors,
    reduce_dimensions,
)

WORDS = ["the", ",", "film", "naïve", "don't"]


@pytest.fixture
def table(rng):
    return rng.normal(size=(5, 4)).astype("float32")


def as_text(table, words=WORDS, header=False, end="\n"):
    rows = [
        f"{w} {' '.join(map(str, row))}"
        for w, row in zip(words, table.tolist(), strict=True)
    ]
    first = [f"{len(rows)} {table.shape[1]}"] if header else []
    return (end.join(first + rows) + end).encode()


def as_binary(table, words=WORDS, end=b"\n"):
    rows = [
        w.encode() + b" " + row.tobytes() + end
        for w, row in zip(words, table, strict=True)
    ]
    return f"{len(rows)} {table.shape[1]}\n".encode() + b"".join(rows)


FORMATS = {
    "glove": as_text,
    "word2vec": lambda table: as_text(table, header=True),
    "trailing spaces": lambda table: as_text(table, header=True, end=" \n"),
    "windows": lambda table: as_text(table, end="\r\n"),
    "empty last line": lambda table: as_text(table, header=True) + b"\n",
    "binary": as_binary,
    "binary without newlines": lambda table: as_binary(table, end=b""),
}
PACKED = {"": bytes, ".gz": gzip.compress, ".xz": lzma.compress, ".bz2": bz2.compress}


@pytest.mark.parametrize("packed", PACKED)
@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_gives_the_same_words_and_vectors(tmp_path, table, kind, packed):
    path = tmp_path / f"vectors{packed}"
    path.write_bytes(PACKED[packed](FORMATS[kind](table)))
    found = read_word_vectors(path)
    assert found.words == WORDS
    np.testing.assert_array_equal(found.vectors, table)
    assert found.vectors.dtype == np.float32 and read_dimensions(path) == 4


@pytest.mark.parametrize("make", [as_text, as_binary])
def test_only_wanted_words_are_kept_and_no_more_than_asked_for(tmp_path, table, make):
    path = tmp_path / "vectors"
    path.write_bytes(make(table))
    found = read_word_vectors(path, words=["naïve", "the", "unheard"])
    assert found.words == ["the", "naïve"]
    np.testing.assert_array_equal(found.vectors, table[[0, 3]])
    assert read_word_vectors(path, max_words=2).words == WORDS[:2]
    assert read_word_vectors(path, words=WORDS[1:], max_words=2).words == WORDS[1:3]


@pytest.mark.parametrize("make", [as_text, as_binary])
def test_of_a_word_twice_the_first_vector_counts(tmp_path, table, make):
    path = tmp_path / "vectors"
    path.write_bytes(make(table, words=["a", "b", "a", "c", "b"]))
    found = read_word_vectors(path)
    assert found.words == ["a", "b", "c"]
    np.testing.assert_array_equal(found.vectors, table[[0, 1, 3]])


def test_words_may_hold_spaces(tmp_path):
    path = tmp_path / "vectors"
    path.write_bytes(b"the 1 2\n. . . 3 4\nat name@domain.com 5 6\n")
    found = read_word_vectors(path)
    assert found.words == ["the", ". . .", "at name@domain.com"]
    np.testing.assert_array_equal(found.vectors, [[1, 2], [3, 4], [5, 6]])


def test_binary_rows_are_read_across_chunks(tmp_path, rng, monkeypatch):
    monkeypatch.setattr("tftransfer.backbones.word_vector_files._CHUNK", 37)
    table = rng.normal(size=(50, 6)).astype("float32")
    words = [f"word{number}" for number in range(50)]
    path = tmp_path / "vectors.bin"
    path.write_bytes(as_binary(table, words))
    np.testing.assert_array_equal(read_word_vectors(path).vectors, table)


@pytest.mark.parametrize("is_binary", [False, True])
def test_memory_holds_the_rows_that_are_kept_only(tmp_path, rng, is_binary):
    rows = rng.normal(size=(50, 300)).astype("float32").round(2)
    texts = as_text(rows, words=[""] * 50).splitlines()
    ends = [b" " + row.tobytes() for row in rows] if is_binary else texts
    words = [f"w{number}" for number in range(10_000)]
    body = b"\n".join(w.encode() + ends[n % 50] for n, w in enumerate(words))
    path = tmp_path / "vectors"
    path.write_bytes((b"10000 300\n" if is_binary else b"") + body + b"\n")
    tracemalloc.start()
    found = read_word_vectors(path, words=words[::99])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    np.testing.assert_allclose(found.vectors, np.tile(rows, (200, 1))[::99], rtol=1e-6)
    # All rows are 12 MB, these 0.1 MB; the stream's buffers are of 1 MB, a few at once.
    assert peak < 5e6


BAD_TEXT = {
    b"a 1 2 3\nb 1 2 3\nc 1 2\n": "line 3 has 2 numbers instead of 3 as before",
    b"a 1 2 3\nb 1 2 3 4\nc 1 2 3\n": "line 2 has 4 numbers instead of 3 as before",
    b"2 3\na 1 2 3\nb 1\n": "line 3 has 1 numbers instead of 3 as before",
    b"1 3\na 1 2 3 4\n": "line 2 has 4 numbers instead of 3 as before",
    b"a 1 2 3\nb 1 x 3\n": "line 2 has something else than numbers",
    b"a 1 2 3\nb 1  3\n": "line 2 has something else than numbers",
    b"a 1 2 3\nb 1 nan 3\n": "line 2 has numbers that are not finite",
    b"a 1 2 3\n\nb 1 2 3\n": "line 2 is empty",
    b"a b c\nd e f\n": "line 1 has no vector of numbers",
    b"id,text\n1,good\n": "line 1 has no vector of numbers",
    b"0 3\n": "line 1 tells 0 words",
    b"3 2\na 1 2\nb 1 2\n": "the first line tells 3 words, not 2",
}


@pytest.mark.parametrize("content", BAD_TEXT)
def test_a_bad_line_is_named(tmp_path, content):
    path = tmp_path / "vectors.txt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"vectors.txt', where {BAD_TEXT[content]}"):
        read_word_vectors(path)


def test_the_width_of_lines_that_are_not_wanted_is_checked_too(tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_bytes(b"film 1 2\nthe 3\n")
    with pytest.raises(ValueError, match="line 2 has 1 numbers instead of 2"):
        read_word_vectors(path, words=["film"])


def test_a_binary_file_that_is_cut_off_names_the_word(tmp_path, table):
    path = tmp_path / "vectors.bin"
    path.write_bytes(as_binary(table)[:-9])
    with pytest.raises(ValueError, match="word 5 of 5 is not whole: the file is cut"):
        read_word_vectors(path)
    table[2, 1] = np.inf
    path.write_bytes(as_binary(table))
    with pytest.raises(ValueError, match="word 3 has numbers that are not finite"):
        read_word_vectors(path)


@pytest.mark.parametrize("packed", [".gz", ".xz", ".bz2"])
def test_a_packed_file_that_is_cut_off_is_refused(tmp_path, rng, packed):
    path = tmp_path / f"vectors{packed}"
    text = as_text(rng.normal(size=(50, 20)), words=[f"w{n}" for n in range(50)])
    path.write_bytes(PACKED[packed](text)[:-40])
    with pytest.raises(ValueError, match=f"vectors{packed}', which cannot be unpacked"):
        read_word_vectors(path)


def test_a_missing_or_empty_file_is_refused(tmp_path):
    path = tmp_path / "vectors.txt"
    for read in (read_word_vectors, read_dimensions):
        with pytest.raises(FileNotFoundError, match="Received: path=.*vectors.txt'"):
            read(path)
    path.write_bytes(b"")
    with pytest.raises(ValueError, match="Received: .*vectors.txt', which is empty"):
        read_word_vectors(path)


def test_a_file_without_any_wanted_word_is_refused(tmp_path, table):
    path = tmp_path / "vectors.txt"
    path.write_bytes(as_text(table))
    message = r"Received: 2 words such as \['Film', 'The'\], of which .*vectors.txt'"
    with pytest.raises(ValueError, match=message):
        read_word_vectors(path, words={"The", "Film"})
    with pytest.raises(ValueError, match="Received: max_words=0"):
        read_word_vectors(path, max_words=0)


@pytest.mark.parametrize("dimensions", [1, 3, 8])
def test_reduction_equals_that_of_scikit_learn(rng, dimensions):
    vectors = rng.normal(size=(9000, 8)) @ rng.normal(size=(8, 8)) + 3
    reduced, kept = reduce_dimensions(vectors.astype("float32"), dimensions)
    reference = PCA(dimensions).fit(vectors)
    expected = reference.transform(vectors)
    signs = np.sign((expected * reduced).sum(axis=0))
    np.testing.assert_allclose(reduced * signs, expected, atol=2e-5)
    assert kept == pytest.approx(reference.explained_variance_ratio_.sum(), abs=1e-6)
    assert reduced.dtype == np.float32 and isinstance(kept, float)


def test_reduction_to_too_many_dimensions_is_refused():
    with pytest.raises(ValueError, match="at most 2 for 2 vectors of 5 numbers"):
        reduce_dimensions(np.eye(2, 5), 3)
    with pytest.raises(TypeError, match="Received: dimensions=2.5"):
        reduce_dimensions(np.eye(3), 2.5)


@pytest.mark.needs_shared_data
def test_the_head_of_glove_is_read(shared_data):
    path = shared_data / "glove.6B.50d.head.txt.xz"
    found = read_word_vectors(path, words={"film", "the", "n't"})
    assert set(found.words) == {"film", "the", "n't"} and found.words[0] == "the"
    assert found.vectors[0, :3].tolist() == pytest.approx([0.418, 0.24968, -0.41242])
    assert found.vectors.shape == (3, 50) and read_dimensions(path) == 50
