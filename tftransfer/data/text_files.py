"""Texts out of files, one in each."""

import codecs
from pathlib import Path

from tftransfer.data.texts import find_texts, warn_of_encoding

ENDING = ".txt"


def holds_texts(names):
    """Whether files are texts by their endings, or most of them are."""
    return 2 * sum(map(_is_text, names)) > len(names)


def read_text_files(paths, names, on_corrupt):
    """Read files as bytes, without the byte order mark of UTF-8.

    Args:
        paths: List of `str`.
        names: List of `str`, what to call each file in a message.
        on_corrupt: `"error"` refuses files that are no text or hold nothing, `"skip"`
            leaves them out.

    Returns:
        List of `bytes`, one per usable file, and int64 array of their indices.

    Raises:
        ValueError: If a file is not usable and `on_corrupt` is `"error"`, or none is.
    """
    contents = [
        Path(path).read_bytes() if _is_text(path) else b"" for path in map(str, paths)
    ]
    usable = find_texts(
        [_reason(*file) for file in zip(names, contents, strict=True)],
        names,
        wanted=f"Every file must be a {ENDING} file with a text, UTF-8",
        on_corrupt=on_corrupt,
    )
    texts = [contents[i].removeprefix(codecs.BOM_UTF8) for i in usable]
    warn_of_encoding(texts, [names[i] for i in usable])
    return texts, usable


def _is_text(name):
    return name.lower().endswith(ENDING)


def _reason(name, content):
    if not _is_text(name):
        return f"not called {ENDING}"
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "UTF-16: save it as UTF-8"
    return None if content.removeprefix(codecs.BOM_UTF8).strip() else "empty"
