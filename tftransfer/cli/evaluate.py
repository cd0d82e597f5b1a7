"""Measure a trained model on labeled data: accuracy with interval, per class."""

import json
import pathlib

import tftransfer as tft
from tftransfer.cli.datasets import add_data_arguments, load_datasets, read_image_size

HELP = "measure a trained model on labeled data"
EXAMPLES = """\
examples:
  tftransfer evaluate saved_models/photos new_photos/
  tftransfer evaluate model.keras cifar10 --splits test --data-dir data --json
"""


def add_arguments(parser):
    """Add the arguments of this command."""
    parser.add_argument(
        "model", metavar="MODEL", help="a folder that train wrote, or a .keras file"
    )
    add_data_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments):
    """Run the command."""
    path = pathlib.Path(arguments.model)
    path = path / "model.keras" if path.is_dir() else path
    model = tft.load_model(path)
    size = read_image_size(arguments) or tuple(
        getattr(model.get_layer("resizing"), side) for side in ("height", "width")
    )
    datasets = load_datasets(
        arguments,
        size,
        default_splits=["test"],
        validation_fraction=1.0,
        class_names=_class_names(path),
    )
    evaluation = tft.evaluate(model, datasets[-1])
    print(json.dumps(evaluation.to_dict()) if arguments.json else evaluation)


def _class_names(path):
    """Return the class order of the training run, where it lies beside the model."""
    about = path.with_name("metadata.json")
    return json.loads(about.read_text())["class_names"] if about.is_file() else None
