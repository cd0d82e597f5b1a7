"""Files of rows, written and hashed in one pass."""

import hashlib
import io

import numpy as np

_STORABLE = "biufcS"  # kinds of NumPy dtypes: bool, numbers, byte strings


def to_rows(name, value):
    """Return `value` as an own array that can be written, and the name of its dtype.

    Args:
        name: Name of the array, for the message.
        value: Array or tensor of shape `(rows, ...)`.

    Returns:
        Array of native little-endian layout, a copy; bfloat16 as its 2 bytes in
        uint16. And str, equal for batches that may lie in one array: `"S"` for byte
        strings of any length.

    Raises:
        TypeError: If the dtype cannot be stored.
        ValueError: If there is no axis of rows.
    """
    array = np.asarray(value)
    if array.dtype.name == "bfloat16":
        dtype, array = "bfloat16", array.view(np.uint16)
    elif array.dtype.kind in _STORABLE:
        array = array.astype(array.dtype.newbyteorder("<"), copy=False)
        dtype = "S" if array.dtype.kind == "S" else array.dtype.str
    else:
        raise TypeError(
            f"`arrays[{name!r}]` must be bool, numbers, or byte strings of a NumPy "
            f"dtype such as 'S20'. Received: dtype {array.dtype}. "
            "Turn text and objects to one of these, for example by np.char.encode."
        )
    if array.ndim == 0:
        raise ValueError(
            f"`arrays[{name!r}]` must have one row for each example along its first "
            f"axis. Received: arrays[{name!r}]={value!r}. Pass an array of shape (n,)."
        )
    return np.array(array, order="C", copy=True), dtype


def write_rows(path, batches):
    """Write batches one below the other as one `.npy` file.

    Args:
        path: Where to write.
        batches: List of arrays from `to_rows`, equal but for the number of rows.

    Returns:
        `{"bytes": int, "sha256": str, "dtype": str}` of what was written.
    """
    dtype = np.result_type(*{batch.dtype for batch in batches})
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header,
        {
            "descr": np.lib.format.dtype_to_descr(dtype),
            "fortran_order": False,
            "shape": (sum(map(len, batches)), *batches[0].shape[1:]),
        },
    )
    digest = hashlib.sha256()
    with open(path, "wb") as file:
        for piece in (header.getbuffer(), *_pieces(batches, dtype)):
            file.write(piece)
            digest.update(piece)
        size = file.tell()
    return {"bytes": size, "sha256": digest.hexdigest(), "dtype": dtype.str}


def _pieces(batches, dtype):
    for batch in batches:
        if batch.size:
            yield batch.astype(dtype, copy=False).reshape(-1).view(np.uint8)
