"""One array whose rows lie in several files, read through memory maps."""

import collections
import math
import operator
import threading

import numpy as np

_MOST_MAPS = 128  # each holds a file descriptor, of which a process has about 1,000
_SMALL = 1 << 20  # bytes; smaller files are read whole


class OpenShards:
    """The files of one entry, opened when they are first read.

    Args:
        place: `pathlib.Path` of their folder.
        holding: Any object; it lives as long as the arrays do.
    """

    def __init__(self, place, holding=None):
        self.place = place
        self._holding = holding
        self._small = {}
        self._maps = collections.OrderedDict()
        self._guard = threading.Lock()
        self._closed = False

    def get(self, file):
        """Return the content of a file as a read-only array."""
        with self._guard:
            if self._closed:
                raise ValueError(
                    "`entry` must be open while its arrays are read. "
                    f"Received: an array of the closed entry {str(self.place)!r}. "
                    "Read it before `close()`, or open the entry again."
                )
            if file in self._small:
                return self._small[file]
            if file not in self._maps:
                return self._open(file)
            self._maps.move_to_end(file)
            return self._maps[file]

    def close(self):
        """Let go of all files."""
        with self._guard:
            self._closed = True
            self._small.clear()
            self._maps.clear()

    def _open(self, file):
        path = self.place / file
        if path.stat().st_size < _SMALL:
            rows = self._small[file] = np.load(path, allow_pickle=False)
            return rows
        rows = np.load(path, mmap_mode="r", allow_pickle=False).view(np.ndarray)
        self._maps[file] = rows
        while len(self._maps) > _MOST_MAPS:
            self._maps.popitem(last=False)
        return rows


class ShardedArray:
    """Rows in several files that read like one NumPy array.

    Reading gives a copy in memory, as plain NumPy indexing of the whole array would:
    an integer, a slice, an array of integers, or a mask along the first axis, and
    anything after it for the other axes. Only the rows asked for are read.
    `np.asarray` reads everything.

    Args:
        shards: `OpenShards` of the entry.
        files: List of str, one file for each shard.
        rows: List of int, the rows in each.
        dtype: Dtype of what is read. Files of unsigned 2-byte integers under a dtype
            of float32 hold bfloat16.
        row_shape: Tuple of int, the shape of one row.
    """

    def __init__(self, shards, files, rows, dtype, row_shape):
        self._shards = shards
        self._files = list(files)
        self._starts = np.concatenate([[0], np.cumsum(rows, dtype=np.int64)])
        self.dtype = np.dtype(dtype)
        self.shape = (int(self._starts[-1]), *row_shape)

    @property
    def ndim(self):
        """Number of axes, that of the rows included."""
        return len(self.shape)

    @property
    def nbytes(self):
        """Bytes of the whole array once it is read."""
        return math.prod(self.shape) * self.dtype.itemsize

    def __len__(self):
        return self.shape[0]

    def __repr__(self):
        return f"ShardedArray(shape={self.shape}, dtype={self.dtype.name})"

    def __array__(self, dtype=None, copy=None):
        if copy is False:
            raise ValueError(
                "`copy` must not be False for rows that lie in files. "
                "Received: copy=False. Use np.asarray without it."
            )
        return self[:].astype(dtype or self.dtype, copy=False)

    def __getitem__(self, index):
        rows, rest = self._split(index)
        if any(not _is_basic(part) for part in rest):
            # Arrays in further axes pair up with those of the rows: leave it to NumPy.
            block, place = self._read_rows(rows, ())
            return block[(place, *rest)]
        block, place = self._read_rows(rows, rest)
        if isinstance(place, np.ndarray):
            return block.reshape(*place.shape, *block.shape[1:])
        return block[place]

    def _split(self, index):
        """Part an index into the one of the rows and the tuple of all others."""
        parts = [_tidy(part) for part in (index if type(index) is tuple else (index,))]
        taken = sum(_axes_taken(part) for part in parts)
        places = [at for at, part in enumerate(parts) if part is Ellipsis]
        if len(places) > 1 or taken > self.ndim:
            raise IndexError(f"bad index {index!r} for an array of {self.ndim} axes")
        at = places[0] if places else len(parts)
        parts[at : at + 1] = [slice(None)] * (self.ndim - taken)
        rows, *rest = parts
        if rows is None:
            raise IndexError("a new axis before that of the rows is not supported")
        if _is_mask(rows):
            if rows.shape != self.shape[: rows.ndim]:
                raise IndexError(
                    f"a mask of shape {rows.shape} for an array of shape {self.shape}"
                )
            rows, *more = rows.nonzero()
            rest = [*more, *rest]
        return rows, tuple(rest)

    def _read_rows(self, rows, rest):
        """Return a block of rows and the index that gives what was asked of it."""
        if isinstance(rows, slice):
            span = range(*rows.indices(len(self)))
            if span.step < 0:
                return self._read_span(span[::-1], rest), slice(None, None, -1)
            return self._read_span(span, rest), slice(None)
        if isinstance(rows, np.ndarray):
            numbers = _wrap(rows, len(self))
            block = self._read_numbers(numbers.reshape(-1), rest)
            return block, np.arange(numbers.size).reshape(numbers.shape)
        number = int(_wrap(np.asarray(operator.index(rows)), len(self)))
        return self._read_span(range(number, number + 1), rest), 0

    def _read_span(self, span, rest):
        block = self._empty(len(span), rest)
        filled = 0
        first = np.searchsorted(self._starts, span.start, side="right") - 1
        for shard in range(first, len(self._files)) if span else ():
            start, end = self._starts[shard : shard + 2].tolist()
            ahead = range(span.start + filled * span.step, span.stop, span.step)
            count = len(range(ahead.start, min(end, span.stop), span.step))
            if not ahead:
                break
            begin = ahead.start - start
            local = slice(begin, begin + count * span.step, span.step)
            block[filled : filled + count] = self._read(shard, (local, *rest))
            filled += count
        return block

    def _read_numbers(self, numbers, rest):
        block = self._empty(len(numbers), rest)
        order = np.argsort(numbers, kind="stable")  # each file once, front to back
        ordered = numbers[order]
        bounds = np.searchsorted(ordered, self._starts)
        for shard in np.flatnonzero(np.diff(bounds)):
            where = slice(bounds[shard], bounds[shard + 1])
            local = ordered[where] - self._starts[shard]
            block[order[where]] = self._read(shard, (local, *rest))
        return block

    def _read(self, shard, index):
        rows = self._shards.get(self._files[shard])[index]
        if rows.dtype == np.uint16 and self.dtype == np.float32:
            # bfloat16 is the upper half of float32.
            return (rows.astype(np.uint32) << 16).view(np.float32)
        return rows

    def _empty(self, count, rest):
        row = np.broadcast_to(np.empty((), self.dtype), self.shape[1:])
        return np.empty((count, *row[rest].shape), self.dtype)


def _is_basic(part):
    return part is None or isinstance(part, (slice, int, np.integer))


def _is_mask(part):
    return isinstance(part, np.ndarray) and part.dtype == bool


def _axes_taken(part):
    if part is None or part is Ellipsis:
        return 0
    return part.ndim if _is_mask(part) else 1


def _tidy(part):
    """Return a slice, None, Ellipsis or int as it is, and anything else as an array."""
    if part is None or part is Ellipsis or isinstance(part, slice):
        return part
    array = np.asarray(part)
    if array.size == 0 and not isinstance(part, np.ndarray):
        array = array.astype(np.intp)  # NumPy takes an empty list too
    if array.dtype.kind not in "biu" or (array.dtype == bool and not array.ndim):
        raise IndexError(f"an index must be whole numbers or a mask, not {part!r}")
    return array if array.ndim else int(array)


def _wrap(numbers, length):
    """Return row numbers counted from the front, all of them within the array."""
    if numbers.size and (numbers.min() < -length or numbers.max() >= length):
        raise IndexError(f"row out of range for an array of {length} rows")
    numbers = numbers.astype(np.int64)
    return np.where(numbers < 0, numbers + length, numbers)
