"""Look for silent mistakes in a trained model, its data and its export."""

import json
import pathlib

import tftransfer as tft
from tftransfer.cli.datasets import (
    SOURCES,
    add_reading_arguments,
    load_datasets,
    read_image_size,
)
from tftransfer.cli.evaluate import find_resizing
from tftransfer.cli.trained import add_trust_argument, load_trained, read_about

HELP = "look for silent mistakes in a model and its data"
EXAMPLES = """\
examples:
  tftransfer doctor saved_models/photos photos/
  tftransfer doctor model.keras --export served/
  tftransfer doctor model.keras cifar10 --splits train,test --data-dir data --json

exit code: 1 if something is wrong, 0 if nothing was found, 2 a mistake in what was
asked
"""


def add_arguments(parser):
    """Add the arguments of this command."""
    parser.add_argument(
        "model", metavar="MODEL", help="a folder that train wrote, or a .keras file"
    )
    parser.add_argument(
        "data", metavar="DATA", nargs="?", help=f"(default: none) {SOURCES}"
    )
    add_reading_arguments(parser).add_argument(
        "--splits", help='TFDS splits (default: "train,test")'
    )
    parser.add_argument(
        "--export",
        metavar="FOLDER",
        help="export of this model (default: MODEL, where it is the folder of a run)",
    )
    parser.add_argument(
        "--lora-targets", help="layers that adapters were meant for, with commas"
    )
    add_trust_argument(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments):
    """Run the command and return its exit code."""
    model = load_trained(arguments.model, trust=arguments.trust)
    about = read_about(arguments.model)
    targets = arguments.lora_targets
    diagnosis = tft.diagnose(
        model,
        **_load_parts(arguments, model, about),
        export=arguments.export or _export_beside(arguments.model),
        lora_targets=targets.split(",") if targets else None,
        batch_size=arguments.batch_size,
    )
    print(json.dumps(diagnosis.to_dict()) if arguments.json else diagnosis)
    return int(bool(diagnosis))


def _load_parts(arguments, model, about):
    """Load the data under the names that `diagnose` has for them."""
    if arguments.data is None:
        return {}
    datasets = load_datasets(
        arguments,
        read_image_size(arguments) or find_resizing(model),
        default_splits=["train", "test"],
        default_columns=["label"],
        task=about.get("task"),
    )
    names = ["data", "test"] if len(datasets) == 2 else ["data", "validation", "test"]
    return dict(zip(names, datasets, strict=False))


def _export_beside(path):
    return path if (pathlib.Path(path) / "1" / "saved_model.pb").is_file() else None
