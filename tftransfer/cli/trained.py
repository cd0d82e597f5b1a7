"""The trained model that a command is about: a `.keras` file and what is beside it."""

import json
import pathlib

import tftransfer as tft

MODEL_FILE, METADATA_FILE = "model.keras", "metadata.json"


def add_trust_argument(parser):
    """Add `--trust` to the parser of a command that loads a `.keras` file."""
    parser.add_argument(
        "--trust",
        action="store_true",
        help="load a file with a hub module inside, which is a program",
    )


def add_augment_argument(parser):
    """Add `--augment` to the parser of a command that averages over views."""
    parser.add_argument(
        "--augment",
        type=_read_augment,
        metavar="VIEWS",
        help="average over views of each image: 2 (mirrored), 4 (both ways), 8 (all "
        "symmetries of a square), or names with commas, such as flip,zoom",
    )


def _read_augment(text):
    return int(text) if text.isdecimal() else text.split(",")


def load_trained(path, *, trust=False):
    """Load the model of a run.

    Args:
        path: A `.keras` file, or a folder that `tftransfer train` wrote.
        trust: Whether the file may hold a program, such as a hub module.

    Returns:
        The `keras.Model`.

    Raises:
        ValueError: If there is no such model, or Keras cannot or may not load it.
    """
    file = _find_file(path)
    try:
        return tft.load_model(file, safe_mode=not trust)
    except Exception as error:
        if not file.is_file():
            raise  # the message says so
        reason = " ".join(str(error).split())
        if not trust and "safe_mode" in reason:
            raise ValueError(
                "`MODEL` must be a file without a program inside, such as a hub "
                f"module. Received: {str(file)!r}, which holds one. Add --trust if "
                "you trust where it comes from."
            ) from error
        raise ValueError(
            "`MODEL` must be a .keras file that Keras can load. "
            f"Received: {str(file)!r}: {reason[:300]}. Write it anew with model.save."
        ) from error


def read_about(path):
    """Return the `metadata.json` of a run, an empty dictionary where there is none."""
    file = _find_file(path).with_name(METADATA_FILE)
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def _find_file(path):
    path = pathlib.Path(path)
    if not path.is_dir():
        return path
    if not (path / MODEL_FILE).is_file():
        raise ValueError(
            "`MODEL` must be a .keras file or a folder that tftransfer train wrote. "
            f"Received: {str(path)!r}, which holds no {MODEL_FILE}. Pass the file that "
            "the export was made from."
        )
    return path / MODEL_FILE
