"""Where a SavedModel lies: a local directory, the cache, or else the network."""

import atexit
import hashlib
import os
import shutil
import socket
import tempfile
import warnings
from pathlib import Path

PROGRAMS = ("saved_model.pb", "saved_model.pbtxt")
PARTS = (*PROGRAMS, "fingerprint.pb", "tfhub_module.pb", "variables", "assets")
NETWORK_TIMEOUT = 20.0  # seconds without an answer before a download is given up
_kept_copies: dict[str, Path] = {}  # by fingerprint, unpacked from .keras files


def resolve_handle(handle):
    """Find the directory of a SavedModel, without the network where possible.

    Looked for in this order: `handle` as a local directory; TensorFlow Hub's cache
    (`TFHUB_CACHE_DIR`, otherwise `tfhub_modules` in the system's temporary
    directory); then a download through `tensorflow_hub` into that cache, which is
    given up when the server stays silent for `NETWORK_TIMEOUT` seconds.

    Args:
        handle: Path of a SavedModel directory (`str` or `os.PathLike`), or the
            `http(s)://` URL of a TensorFlow Hub module.

    Returns:
        `pathlib.Path` of a directory that holds `saved_model.pb`.

    Raises:
        TypeError: If `handle` is neither a string nor a path.
        ValueError: If `handle` is a path without a SavedModel, or a URL of a kind
            that cannot be downloaded.
        ImportError: If a download is needed and `tensorflow_hub` cannot be imported.
        ConnectionError: If the download fails.

    Example:

    >>> directory = tempfile.mkdtemp()
    >>> tf.saved_model.save(tf.Module(), directory)
    >>> resolve_handle(directory) == Path(directory)
    True
    """
    if not isinstance(handle, (str, os.PathLike)):
        raise TypeError(
            "`handle` must be the path of a SavedModel directory or a TensorFlow Hub "
            f"URL. Received: handle={handle!r} of type {type(handle).__name__}."
        )
    if "://" not in str(handle):
        return check_saved_model(handle)
    return find_local(handle) or check_saved_model(_download(str(handle)))


def find_local(handle):
    """Return the directory of `handle` if it is on this machine, else `None`."""
    places = cache_directories(handle) if "://" in str(handle) else [Path(handle)]
    return next((place for place in places if _find_program(place)), None)


def cache_directories(handle):
    """Return the directories where TensorFlow Hub may have cached the URL `handle`."""
    default = os.path.join(tempfile.gettempdir(), "tfhub_modules")
    cache = Path(os.environ.get("TFHUB_CACHE_DIR") or default)
    urls = (str(handle), f"{handle}?tf-hub-format=compressed")
    return [
        cache / hashlib.sha1(url.encode(), usedforsecurity=False).hexdigest()
        for url in urls
    ]


def check_saved_model(directory):
    """Return `directory` as a `Path`, or raise `ValueError` if it is no SavedModel."""
    path = Path(directory)
    if _find_program(path):
        return path
    versions = sorted(p.parent.name for p in path.glob("*/saved_model.pb"))
    if versions:
        problem, advice = (
            "It holds versions in sub-directories",
            f"Pass for example {str(path / versions[-1])!r}.",
        )
    elif path.is_dir():
        files = sorted(p.name for p in path.iterdir())[:5]
        problem, advice = (
            "It has no saved_model.pb",
            f"It holds {files}; pass the directory that holds saved_model.pb.",
        )
    elif path.exists():
        problem, advice = (
            "It is a file",
            "Unpack an archive first; a `.keras` file goes to keras.models.load_model.",
        )
    else:
        problem, advice = (
            "There is no such directory",
            "Check the path; a TensorFlow Hub module is named by its https:// URL.",
        )
    raise ValueError(
        "`handle` must be a SavedModel directory (one that holds saved_model.pb and "
        f"variables/). Received: handle={str(directory)!r}. {problem}. {advice}"
    )


def _find_program(directory):
    return next((directory / p for p in PROGRAMS if (directory / p).is_file()), None)


def _download(handle):
    if not handle.startswith(("http://", "https://")):
        raise ValueError(
            "`handle` must be a local directory or an http(s):// URL. Received: "
            f"handle={handle!r}. Copy the module to this machine and pass its "
            "directory."
        )
    hub = _import_tensorflow_hub()
    former = socket.getdefaulttimeout()
    socket.setdefaulttimeout(NETWORK_TIMEOUT)  # urllib would wait for ever
    try:
        return hub.resolve(handle)
    except Exception as error:
        raise ConnectionError(
            f"`handle` could not be downloaded. Received: handle={handle!r}. "
            f"{type(error).__name__}: {error}. Download the module where there is a "
            "network, unpack it, and pass its directory as `handle`; or put it into "
            f"{str(cache_directories(handle)[0])!r}, where it is found under its URL."
        ) from error
    finally:
        socket.setdefaulttimeout(former)


def _import_tensorflow_hub():
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its pkg_resources is deprecated
            import tensorflow_hub
    except ImportError as error:
        raise ImportError(
            "Downloading a TensorFlow Hub module needs tensorflow-hub (and the "
            f"pkg_resources of setuptools < 81): {error}. "
            "Run `pip install tensorflow-hub 'setuptools<81'`."
        ) from error
    return tensorflow_hub


def fingerprint_saved_model(directory):
    """Return a SHA-256 that changes with the program, its assets or its variables."""
    directory = Path(directory)
    digest = hashlib.sha256()
    assets = sorted(p for p in (directory / "assets").rglob("*") if p.is_file())
    index = directory / "variables" / "variables.index"  # holds the values' checksums
    for path in (_find_program(directory), index, *assets):
        if path is not None and path.is_file():
            name = path.relative_to(directory).as_posix()
            digest.update(f"{name} {path.stat().st_size} ".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def find_same(handle, fingerprint):
    """Return a local directory of `handle` with this `fingerprint`, else `None`."""
    for place in (_kept_copies.get(fingerprint), find_local(handle)):
        if place is not None and _find_program(place):
            if fingerprint_saved_model(place) == fingerprint:
                return place
    return None


def copy_saved_model(source, destination):
    """Copy what belongs to a SavedModel, and nothing else that lies beside it."""
    Path(destination).mkdir(parents=True, exist_ok=True)
    for part in PARTS:
        path = Path(source) / part
        if path.is_dir():
            shutil.copytree(path, Path(destination) / part, dirs_exist_ok=True)
        elif path.is_file():
            shutil.copy2(path, Path(destination) / part)


def keep_copy(source):
    """Copy a SavedModel to a place that lasts until this process ends.

    A `.keras` file is unpacked to a directory that Keras deletes after loading; a
    later `save` or `export` of the model needs the files again.

    Args:
        source: Directory of the SavedModel.

    Returns:
        `pathlib.Path` of the copy; equal SavedModels share one.
    """
    fingerprint = fingerprint_saved_model(source)
    if fingerprint not in _kept_copies:
        directory = Path(tempfile.mkdtemp(prefix="tftransfer_hub_"))
        atexit.register(shutil.rmtree, directory, ignore_errors=True)
        copy_saved_model(source, directory)
        _kept_copies[fingerprint] = directory
    return _kept_copies[fingerprint]
