"""PyTorch weight files read without PyTorch and without running what is in them."""

import collections
import pickle
import struct

import numpy as np

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_STORAGES = {
    "FloatStorage": np.dtype("<f4"),
    "HalfStorage": np.dtype("<f2"),
    "LongStorage": np.dtype("<i8"),
}

# All that a damaged or foreign file makes the lines below raise.
_UNREADABLE = (
    pickle.UnpicklingError,
    struct.error,
    AttributeError,
    EOFError,
    IndexError,
    KeyError,
    MemoryError,
    OverflowError,
    TypeError,
    ValueError,
)


def read_state_dict(path):
    """Read a PyTorch state dictionary saved in the format before version 1.6.

    A pickle file is a program. Only what a state dictionary consists of is allowed
    here (`OrderedDict`, tensors, float, half and long storages); anything else is
    refused before it could run.

    Args:
        path: The `.pth` file.

    Returns:
        Dictionary from parameter name to NumPy array.

    Raises:
        ValueError: If the file is not such a state dictionary, is cut off, or asks
            for anything outside the allow-list.
    """
    try:
        with open(path, "rb") as file:
            return _read_legacy(file)
    except _UNREADABLE as error:
        raise ValueError(
            "`path` must be a PyTorch state dictionary in the legacy `.pth` format "
            f"that holds tensors only. Received: path={str(path)!r} "
            f"({type(error).__name__}: {error}). Reinstall the package that carries "
            "the file, or convert it with `torch.save(state_dict, path, "
            "_use_new_zipfile_serialization=False)`."
        ) from error


def _read_legacy(file):
    if _RestrictedUnpickler(file).load() != _LEGACY_MAGIC:
        raise pickle.UnpicklingError("another magic number")
    _RestrictedUnpickler(file).load()  # protocol version
    _RestrictedUnpickler(file).load()  # byte order and sizes of the writing machine
    unpickler = _RestrictedUnpickler(file)
    tensors = unpickler.load()
    arrays = {
        key: _read_storage(file, unpickler.dtypes[key])
        for key in _RestrictedUnpickler(file).load()
    }
    return {name: tensor.read(arrays) for name, tensor in tensors.items()}


def _read_storage(file, dtype):
    (count,) = struct.unpack("<q", file.read(8))
    raw = file.read(count * dtype.itemsize)
    if len(raw) != count * dtype.itemsize:
        raise EOFError("the file ends inside a tensor")
    return np.frombuffer(raw, dtype)


class _RestrictedUnpickler(pickle.Unpickler):  # noqa: S301
    """Unpickler that knows ordered dictionaries, tensors and nothing else."""

    def __init__(self, file):
        super().__init__(file, encoding="utf-8")
        self.dtypes = {}

    def find_class(self, module, name):
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _Tensor
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        raise pickle.UnpicklingError(
            f"it asks to run {module}.{name}, which is refused"
        )

    def persistent_load(self, saved_id):
        kind, dtype, key, *_ = saved_id
        if kind != "storage" or not isinstance(dtype, np.dtype):
            raise pickle.UnpicklingError(f"unknown persistent id {kind!r}")
        self.dtypes[key] = dtype
        return key


class _Tensor:
    """Where a tensor lies in its storage, until the storages have been read."""

    def __init__(self, key, offset, shape, strides, *_):
        self.key, self.offset, self.shape, self.strides = key, offset, shape, strides

    def read(self, arrays):
        flat = arrays[self.key][self.offset :]
        furthest = sum(
            (n - 1) * s for n, s in zip(self.shape, self.strides, strict=True)
        )
        if any(s < 0 for s in self.strides) or furthest >= max(len(flat), 1):
            raise IndexError("a tensor reaches beyond its storage")
        strides = [stride * flat.itemsize for stride in self.strides]
        view = np.lib.stride_tricks.as_strided(
            flat, self.shape, strides, writeable=False
        )
        return view.copy()
