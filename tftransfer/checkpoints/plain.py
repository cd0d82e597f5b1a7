"""Plain Python values as JSON and arrays: nothing is ever run when they are read."""

import keras
import numpy as np

_KIND, _VALUE = "kind", "value"


class NotPlain(Exception):
    """A value that is more than data; the message names its type."""


def to_plain(value, arrays):
    """Turn a value into what JSON holds; arrays go into a list of their own.

    Args:
        value: None, numbers, texts, bytes, arrays, functions of `keras.ops`, NumPy
            generators, and lists, tuples, sets and dictionaries of these.
        arrays: List of arrays, which grows.

    Returns:
        A JSON structure.

    Raises:
        NotPlain: If there is something else in it.

    Example:

    >>> arrays = []
    >>> to_plain((1, {"mean": np.zeros(3)}), arrays)["kind"], len(arrays)
    ('tuple', 1)
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        if type(value) in (type(None), bool, int, float, str):
            return value
    if isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind != "O":
        arrays.append(np.array(value))
        kind = "array" if isinstance(value, np.ndarray) else "scalar"
        return {_KIND: kind, _VALUE: len(arrays) - 1}
    for kind, given in _KINDS.items():
        if type(value) is given:
            parts = value.items() if kind == "dict" else value
            return {_KIND: kind, _VALUE: [to_plain(part, arrays) for part in parts]}
    return _to_special(value, arrays)


def from_plain(content, arrays):
    """Turn what `to_plain` made into equal values."""
    if isinstance(content, list):  # not made by `to_plain`, but of the same parts
        return [from_plain(part, arrays) for part in content]
    if not isinstance(content, dict):
        return content
    kind, value = content[_KIND], content[_VALUE]
    if kind in ("array", "scalar"):
        array = arrays[value]
        return array if kind == "array" else array[()]
    if kind == "bytes":
        return bytes.fromhex(value)
    if kind == "function":
        return getattr(keras.ops, value)
    parts = [from_plain(part, arrays) for part in value]
    if kind == "generator":
        generator = np.random.Generator(getattr(np.random, parts[0])())
        generator.bit_generator.state = parts[1]
        return generator
    return _KINDS[kind](parts)


_KINDS = {"list": list, "tuple": tuple, "set": set, "dict": dict}


def _to_special(value, arrays):
    if isinstance(value, bytes):
        return {_KIND: "bytes", _VALUE: value.hex()}
    name = getattr(value, "__name__", "")
    if name and getattr(keras.ops, name, None) is value:
        return {_KIND: "function", _VALUE: name}
    if isinstance(value, np.random.Generator):
        state = value.bit_generator.state
        parts = [type(value.bit_generator).__name__, state]
        return {_KIND: "generator", _VALUE: [to_plain(x, arrays) for x in parts]}
    raise NotPlain(type(value).__name__)
