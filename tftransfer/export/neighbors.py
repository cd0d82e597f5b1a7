"""What lies beside an export in its folder: it outlives a new export there."""

import contextlib
import json
import os
import shutil
from pathlib import Path

from tftransfer.export.about import METADATA_FILE, VERSION_FOLDER
from tftransfer.export.proven_formats import PARITY_FILE
from tftransfer.formats.catalog import FORMATS


def check_neighbors(path, weights_sha256):
    """Raise `ValueError` where files beside an export tell of another model.

    Args:
        path: Folder that an export is to replace, or a new one.
        weights_sha256: Hash of the weights to be exported.
    """
    names = sorted(file.name for file in list_neighbors(path))
    file = Path(path, METADATA_FILE)
    if not names or not file.is_file():
        return
    if _read_hash(file) != weights_sha256:
        raise ValueError(
            "`path` must hold nothing but an export, or the export of the same model "
            f"with what tells of it. Received: path={str(path)!r}, which holds "
            f"{', '.join(names)} beside an export of other weights, or one whose "
            f"{METADATA_FILE} is damaged. Choose another path, or move these files "
            "away."
        )


def _read_hash(file):
    with contextlib.suppress(ValueError, AttributeError):  # no JSON, or no dictionary
        return json.loads(file.read_text(encoding="utf-8")).get("weights_sha256")
    return None


def keep_neighbors(path, folder):
    """Put what lies beside an export at `path` into the folder that replaces it."""
    for file in list_neighbors(path):
        if file.is_dir():
            shutil.copytree(file, folder / file.name, copy_function=_link)
        else:
            _link(file, folder / file.name)


def list_neighbors(path):
    """List what lies in the folder of an export and is none of its files.

    Args:
        path: Folder, which may be missing.

    Returns:
        List of `pathlib.Path`.
    """
    folder = Path(path)
    return [] if not folder.is_dir() else [x for x in folder.iterdir() if not _own(x)]


def _own(file):
    return file.name in (VERSION_FOLDER, METADATA_FILE, *FORMATS, PARITY_FILE)


def _link(file, place):
    try:
        os.link(file, place)
    except OSError:  # a disk without links
        shutil.copy2(file, place)
