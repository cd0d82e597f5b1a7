"""Content identity: one SHA-256 for equal examples, however they come in batches."""

import hashlib

import numpy as np

MODULUS = 2**256


class ContentHasher:
    """Hash examples as they come, batch by batch.

    Each example is hashed on its own: the bytes of its row in every array, after the
    structure the arrays lie in and their dtypes and row shapes. So the cuts between
    batches make no difference. The digests are then hashed in their order, or summed
    modulo 2^256, which gives the same for every order.

    Args:
        ordered: Whether another order is other content. Pass False for data that come
            shuffled.

    Example:

    >>> whole, parts = ContentHasher(), ContentHasher()
    >>> whole.add((np.arange(4.0), np.arange(4)))
    >>> parts.add((np.arange(3.0), np.arange(3)))
    >>> parts.add((np.array([3.0]), np.array([3])))
    >>> whole.hexdigest() == parts.hexdigest()
    True
    >>> whole.num_rows
    4
    """

    def __init__(self, ordered=True):
        self.num_rows = 0
        self._ordered = ordered
        self._sequence, self._sum = hashlib.sha256(), 0
        self._starts = {}

    def add(self, batch):
        """Hash the examples of one batch.

        Args:
            batch: Array of any dtype and shape `(batch, ...)`, or nested tuples, lists
                and dictionaries of such arrays of one length, and `None`. Arrays of
                Python objects must hold `str` or `bytes`.

        Raises:
            ValueError: If the arrays have no common first axis.
            TypeError: If an array holds other Python objects.
        """
        arrays: list = []
        structure = _describe(batch, arrays)
        count = _common_length(arrays)
        columns = [_rows(array, count) for array in arrays]
        header = f"{structure}{[_describe_rows(array) for array in arrays]}"
        if header not in self._starts:
            self._starts[header] = hashlib.sha256(header.encode())
        self._add_rows(self._starts[header], columns, count)
        self.num_rows += count

    def _add_rows(self, start, columns, count):
        for index in range(count):
            digest = start.copy()
            for column in columns:
                digest.update(column[index])
            if self._ordered:
                self._sequence.update(digest.digest())
            else:
                self._sum += int.from_bytes(digest.digest(), "big")
        self._sum %= MODULUS

    def hexdigest(self):
        """Return the identity of all examples so far, 64 hexadecimal digits."""
        parts = self._sequence.hexdigest() if self._ordered else hex(self._sum)
        whole = f"{'ordered' if self._ordered else 'any order'} {self.num_rows} {parts}"
        return hashlib.sha256(whole.encode()).hexdigest()


def hash_arrays(structure, ordered=True):
    """Hash examples that lie in memory, in one go.

    Args:
        structure: As `ContentHasher.add` takes it.
        ordered: Whether another order is other content.

    Returns:
        `str` of 64 hexadecimal digits, what a `ContentHasher` gives for the same
        examples in batches.

    Raises:
        ValueError: If the arrays have no common first axis.
        TypeError: If an array holds Python objects other than `str` and `bytes`.

    Example:

    >>> rows = np.array([[1.0], [2.0]])
    >>> hash_arrays(rows) == hash_arrays(rows[::-1])
    False
    >>> hash_arrays(rows, ordered=False) == hash_arrays(rows[::-1], ordered=False)
    True
    """
    hasher = ContentHasher(ordered)
    hasher.add(structure)
    return hasher.hexdigest()


def _describe(part, arrays):
    """Name the structure without its arrays, which are appended to `arrays`."""
    if part is None:
        return "None"
    if isinstance(part, dict):
        inner = [(key, _describe(part[key], arrays)) for key in sorted(part, key=repr)]
        return f"dict{inner}"
    if isinstance(part, (tuple, list)):
        kind = "tuple" if isinstance(part, tuple) else "list"
        return f"{kind}{[_describe(inner, arrays) for inner in part]}"
    arrays.append(np.asarray(part))
    return "array"


def _common_length(arrays):
    lengths = {array.shape[:1] for array in arrays}
    if len(lengths) != 1 or () in lengths:
        raise ValueError(
            "`batch` must hold arrays whose first axes are equally long. "
            f"Received: shapes={[array.shape for array in arrays]}. "
            "Pass arrays of shape (batch, ...), one row for each example."
        )
    return lengths.pop()[0]


def _describe_rows(array):
    # Text has no fixed width: NumPy's depends on the longest of the batch.
    kind = array.dtype.descr if array.dtype.names else array.dtype.name
    return f"{'text' if array.dtype.kind in 'OSU' else kind}{array.shape[1:]}"


def _rows(array, count):
    """Return what the rows are hashed by: buffers of bytes, one for each row."""
    if array.dtype.kind in "OSU":
        texts = array.reshape(count, -1) if array.size else [[]] * count
        return [b"".join(map(_text_bytes, row)) for row in texts]
    if array.dtype.hasobject:
        _refuse(array.dtype)
    if array.dtype.byteorder == ">" and not array.dtype.names:
        array = array.astype(array.dtype.newbyteorder("<"))
    if not array.size:
        return [b""] * count
    return np.ascontiguousarray(array).reshape(count, -1).view(np.uint8)


def _text_bytes(text):
    if isinstance(text, str):
        kind, text = b"s", text.encode("utf-8", "surrogatepass")
    elif isinstance(text, bytes):
        kind = b"b"
    else:
        _refuse(type(text).__name__)
    return kind + len(text).to_bytes(8, "big") + text


def _refuse(kind):
    raise TypeError(
        "`batch` must hold arrays of numbers, `str` or `bytes`. "
        f"Received: an array with {kind} inside. Convert it to numbers first."
    )
