"""What an entry says of itself, and whether its files are what it says."""

import concurrent.futures
import hashlib
import json
import os
import time

MANIFEST = "manifest.json"
FORMAT = 1
_SETTLED_NS = 100_000_000  # clocks of file systems tick every 10 ms or faster
_known: dict[tuple, str] = {}  # identity of a file -> its digest, in this process


class Damage(Exception):
    """A stored file is not what it was when it was written; the text says which."""


def to_json(name, value):
    """Return `value` as JSON, or raise `TypeError` if it is more than plain values."""
    try:
        return json.dumps(value, sort_keys=True)
    except (TypeError, ValueError):
        raise TypeError(
            f"`{name}` must be plain values (None, bool, int, float, str, list, dict). "
            f"Received: {name}={value!r}. Turn arrays and NumPy's numbers to these."
        ) from None


def write_manifest(place, content):
    """Write `content`, a dictionary of plain values, with its checksum."""
    text = json.dumps(content, sort_keys=True)
    whole = {"format": FORMAT, "sha256": _digest(text), "content": content}
    (place / MANIFEST).write_text(json.dumps(whole, indent=1), encoding="utf-8")


def read_manifest(place):
    """Return the content of the manifest.

    Raises:
        Damage: If it is missing, altered, or of another format.
    """
    try:
        whole = json.loads((place / MANIFEST).read_text(encoding="utf-8"))
        if whole["format"] != FORMAT:
            raise Damage(f"{MANIFEST} has format {whole['format']}, not {FORMAT}")
        content = whole["content"]
        if whole["sha256"] != _digest(json.dumps(content, sort_keys=True)):
            raise Damage(f"{MANIFEST} was altered")
    except (OSError, ValueError, KeyError, TypeError):
        raise Damage(f"{MANIFEST} is missing or cut short") from None
    return content


def check_shards(place, shards):
    """Raise `Damage` unless every file has the size and the digest noted for it.

    Within one process a file is read again only if its size or time have changed.

    Args:
        place: Folder of the files.
        shards: List of `{"rows": int, "files": {file: {"bytes", "sha256", ...}}}`.
    """
    noted = {}
    for shard in shards:
        noted.update(shard["files"])
    for file, record in noted.items():  # sizes first, as they cost nothing
        try:
            size = os.stat(place / file).st_size
        except OSError:
            raise Damage(f"{file} is missing") from None
        if size != record["bytes"]:
            raise Damage(f"{file} has {size:,} bytes, not {record['bytes']:,}")
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        digests = pool.map(lambda file: file_digest(place / file), noted)
        for (file, record), digest in zip(noted.items(), digests, strict=True):
            if digest != record["sha256"]:
                raise Damage(f"{file} was altered")


def file_digest(path):
    """Return the SHA-256 of a file, in hexadecimal, or `None` if it cannot be read."""
    try:
        with open(path, "rb", buffering=0) as file:
            state = os.fstat(file.fileno())
            identity = state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns
            if identity in _known:
                return _known[identity]
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None
    # A file written this instant could be altered within the same tick of its clock.
    if time.time_ns() - state.st_mtime_ns > _SETTLED_NS:
        _known[identity] = digest
    return digest


def _digest(text):
    return hashlib.sha256(text.encode()).hexdigest()
