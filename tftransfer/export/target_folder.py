"""Where an export may be written, and whether one stands there."""

from pathlib import Path

from tftransfer.export.about import METADATA_FILE, VERSION_FOLDER
from tftransfer.writing import check_may_write


def check_export_path(path, *, overwrite=False):
    """Raise unless `export_model` may write to `path`; ask before a long training.

    Args:
        path: Folder to make.
        overwrite: Whether an earlier export at `path` may be replaced.

    Raises:
        ValueError: If `path` exists and `overwrite` is False, cannot be written, or is
            anything but an earlier export.

    Example:

    >>> check_export_path("new/folder")
    """
    check_may_write(path, overwrite)
    folder = Path(path)
    if folder.exists() and not is_export(folder) and not _is_empty(folder):
        raise ValueError(
            "`path` must be new or an earlier export, so that nothing else is lost. "
            f"Received: path={str(path)!r}, which is something else. "
            "Choose another path."
        )


def is_export(folder):
    """Whether `folder` holds what `export_model` writes."""
    model = Path(folder, VERSION_FOLDER, "saved_model.pb")
    return model.is_file() and Path(folder, METADATA_FILE).is_file()


def _is_empty(folder):
    return folder.is_dir() and not any(folder.iterdir())
