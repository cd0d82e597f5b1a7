"""Files of word vectors, row by row: GloVe text, word2vec text and binary."""

import bz2
import contextlib
import gzip
import io
import lzma
import os
import pathlib
import zlib
from collections.abc import Callable

import numpy as np

_PACKED: dict[bytes, Callable] = {
    b"\x1f\x8b": gzip.open,
    b"\xfd7zXZ\x00": lzma.open,
    b"BZh": bz2.open,
}
_CONTROL = frozenset(range(32)) - frozenset(b"\t\n\r")  # bytes that no text has
_NUMERALS = frozenset(b"0123456789+-.eE \r")
_CHUNK = 1 << 20  # bytes read at once
_LONGEST_LINE = 1 << 20  # bytes; what has no end of line within them is no text
_LONGEST_WORD = 1 << 12  # bytes
_GET = "Download or unpack the file again."


@contextlib.contextmanager
def open_vectors(path):
    """Open a file of word vectors, packed or not, and tell its format.

    Args:
        path: The file.

    Yields:
        A file with `dimensions`, with `rows()`, which yields each word (bytes), its
        numbers (bytes) and its place for messages, and with `parse(numbers, place)`,
        which gives the float32 vector.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is empty, damaged or no file of word vectors.
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(
            "`path` must be an existing file of word vectors. "
            f"Received: path={os.fspath(path)!r}. Check the path; vectors are at "
            "https://nlp.stanford.edu/projects/glove/."
        )
    try:
        with open(path, "rb") as raw:
            start = raw.read(6)
        unpack = next((f for key, f in _PACKED.items() if start.startswith(key)), open)
        with unpack(path, "rb") as raw, io.BufferedReader(raw, _CHUNK) as stream:
            yield _read_header(path, stream)
    except (EOFError, OSError, lzma.LZMAError, zlib.error) as error:
        if getattr(error, "errno", None) is not None:
            raise  # of the system, not of the content
        raise ValueError(
            f"`path` must be a whole file. Received: path={os.fspath(path)!r}, which "
            f"cannot be unpacked: {error}. {_GET}"
        ) from error


def _read_header(path, stream):
    """Tell the format from the first lines."""
    line = stream.readline(_LONGEST_LINE)
    if not line.strip():
        raise ValueError(
            "`path` must be a file of word vectors. Received: "
            f"path={os.fspath(path)!r}, which is empty. {_GET}"
        )
    header = line.split()
    if len(header) != 2 or not all(part.isdigit() for part in header):
        rest = line.rstrip().split(b" ")[1:]
        return _TextFile(path, stream, _count_numbers(rest), None, first=line)
    count, dimensions = map(int, header)
    kind = _TextFile if _is_text(stream.peek(_LONGEST_WORD)) else _BinaryFile
    return kind(path, stream, dimensions, count)


def _is_text(start):
    numbers = start.partition(b"\n")[0].partition(b" ")[2]
    return _CONTROL.isdisjoint(start) and _NUMERALS.issuperset(numbers)


def _count_numbers(fields):
    """How many fields at the end are numbers: the word itself may hold spaces."""
    count = 0
    while count < len(fields) and _is_number(fields[-1 - count]):
        count += 1
    return count


def _is_number(text):
    try:
        float(text)
    except ValueError:
        return False
    return True


class _VectorFile:
    def __init__(self, path, stream, dimensions, count, first=b""):
        self.path, self.stream, self.first = pathlib.Path(path), stream, first
        self.dimensions, self.count = dimensions, count
        if not dimensions:
            raise self.wrong("line 1 has no vector of numbers")
        if count == 0:
            raise self.wrong("line 1 tells 0 words")

    def wrong(self, what):
        """The error for a file with something wrong in it."""
        return ValueError(
            "`path` must be a file of word vectors: a word and its numbers on each "
            f"line (GloVe, word2vec), or word2vec's binary format. Received: "
            f"path={str(self.path)!r}, where {what}. {_GET}"
        )

    def check_finite(self, vector, where):
        if not np.isfinite(vector).all():
            raise self.wrong(f"{where} has numbers that are not finite")
        return vector

    def check_count(self, rows):
        if self.count is not None and rows != self.count:
            raise self.wrong(f"the first line tells {self.count} words, not {rows}")


class _TextFile(_VectorFile):
    def rows(self):
        """Yield each word, its numbers as bytes, and its line for messages."""
        number = 1 if self.first else 2  # the line after a header
        start, empty = number, None
        line = self.first or self.stream.readline(_LONGEST_LINE)
        while line:
            line = line.rstrip(b" \r\n")
            if line and empty:  # empty lines are fine at the end only
                raise self.wrong(f"line {empty} is empty")
            if not line:
                empty = empty or number
            elif line.count(b" ") == self.dimensions:
                word, _, rest = line.partition(b" ")
                yield word, rest, f"line {number}"
            else:
                yield self._with_spaces(line, number)
            number += 1
            line = self.stream.readline(_LONGEST_LINE)
        self.check_count((empty or number) - start)

    def parse(self, numbers, where):
        """Return the float32 vector of one row."""
        try:
            vector = np.array([float(x) for x in numbers.split(b" ")], "float32")
        except ValueError:
            raise self.wrong(f"{where} has something else than numbers") from None
        return self.check_finite(vector, where)

    def _with_spaces(self, line, number):
        """Take apart a line whose word holds spaces, as some of GloVe's do."""
        fields = line.split(b" ")
        extra = fields[1 : max(1, len(fields) - self.dimensions)]
        if not extra or all(map(_is_number, extra)):
            raise self.wrong(
                f"line {number} has {len(fields) - 1} numbers instead of "
                f"{self.dimensions} as before"
            )
        word = b" ".join(fields[: -self.dimensions])
        return word, b" ".join(fields[-self.dimensions :]), f"line {number}"


class _BinaryFile(_VectorFile):
    def rows(self):
        """Yield each word, the bytes of its vector, and its place for messages."""
        buffer, size = b"", 4 * self.dimensions
        start = 0
        for number in range(1, self.count + 1):
            space = buffer.find(b" ", start)
            while space < 0 or space + 1 + size > len(buffer):
                buffer, start = buffer[start:], 0
                more = self.stream.read(_CHUNK)
                if not more or space < 0 and len(buffer) > _LONGEST_WORD:
                    raise self.wrong(
                        f"word {number} of {self.count} is not whole: the file is cut "
                        "off or no such format"
                    )
                buffer += more
                space = buffer.find(b" ")
            end = space + 1 + size
            # word2vec ends a row with a newline, others do not.
            word = buffer[start:space].lstrip(b"\n")
            yield word, buffer[space + 1 : end], f"word {number}"
            start = end

    def parse(self, numbers, where):
        """Return the float32 vector of one row."""
        return self.check_finite(np.frombuffer(numbers, "<f4").astype("float32"), where)
