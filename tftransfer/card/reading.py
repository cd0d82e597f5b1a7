"""What lies in the folder of an export, for its card."""

import dataclasses
import json
from pathlib import Path

from tftransfer.export.about import METADATA_FILE
from tftransfer.export.target_folder import is_export


@dataclasses.dataclass(frozen=True)
class Export:
    """Content of an export's folder; what is not there is `None`.

    Attributes:
        folder: `pathlib.Path`.
        about: Of `metadata.json`.
        evaluation: Of `evaluation.json`.
        parity: Of `parity.json`.
        history: Of `history.json`.
        figures: Dictionary from stem to file, of the PNG files in it.
    """

    folder: Path
    about: dict
    evaluation: dict | None
    parity: dict | None
    history: dict | None
    figures: dict


def read_export(path):
    """Read the files of an export that its card tells of.

    Raises:
        ValueError: If there is no export, or a file of it cannot be read.
    """
    folder = Path(path)
    if not is_export(folder):
        raise ValueError(
            "`path` must be a folder that export_model or `tftransfer train` wrote. "
            f"Received: path={str(path)!r}, where there is no 1/saved_model.pb with "
            f"{METADATA_FILE} beside it. Export the model first."
        )
    about, evaluation, parity, history = (
        _read(folder / name)
        for name in (METADATA_FILE, "evaluation.json", "parity.json", "history.json")
    )
    figures = {file.stem: file for file in sorted(folder.glob("*.png"))}
    return Export(folder, about, evaluation, parity, history, figures)


def _read(file):
    if not file.is_file():
        return None
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(
            f"`path` must hold whole files. Received: {str(file)!r}, which is no JSON "
            f"({error}). Export the model again."
        ) from error
