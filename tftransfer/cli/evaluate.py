"""Measure a trained model on labeled data: accuracy with interval, per class."""

import argparse
import json

import tftransfer as tft
from tftransfer.cli.datasets import add_data_arguments, load_datasets, read_image_size
from tftransfer.cli.trained import (
    add_augment_argument,
    add_trust_argument,
    load_trained,
    read_about,
)

HELP = "measure a trained model on labeled data"
EXAMPLES = """\
examples:
  tftransfer evaluate saved_models/photos new_photos/
  tftransfer evaluate model.keras cifar10 --splits test --data-dir data --json
  tftransfer evaluate saved_models/cells cells.csv --augment 8
"""


def add_arguments(parser):
    """Add the arguments of this command."""
    parser.add_argument(
        "model", metavar="MODEL", help="a folder that train wrote, or a .keras file"
    )
    add_data_arguments(parser)
    parser.add_argument(
        "--task",
        choices=["classification", "multi_label", "regression"],
        help="of a .keras file whose loss does not tell",
    )
    add_augment_argument(parser)
    add_trust_argument(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments):
    """Run the command."""
    model = load_trained(arguments.model, trust=arguments.trust)
    about = read_about(arguments.model)
    names, task = about.get("class_names"), arguments.task or about.get("task")
    test = load_rows(arguments, arguments.data, model, names, task)
    _check_order(names, test.class_names, arguments.data)
    evaluation = tft.evaluate(
        model,
        test,
        class_names=names,
        task=arguments.task,
        augment=arguments.augment,
    )
    print(json.dumps(evaluation.to_dict()) if arguments.json else evaluation)


def load_rows(arguments, data, model, names, task, part="test"):
    """Return one split of what a word names, images of the model's own size.

    Args:
        arguments: Parsed arguments, with those of `add_reading_arguments`.
        data: A folder, a table or the name of a TFDS dataset.
        model: `keras.Model`.
        names: Class names it was trained on, or `None`.
        task: Name of its task; `None` lets the loader tell.
        part: `"test"` for the last split, `"train"` for the first.

    Returns:
        A dataset.
    """
    is_classification = task in (None, "classification")
    given = {"splits": None, **vars(arguments), "data": data}
    loaded = load_datasets(
        argparse.Namespace(**given),
        read_image_size(arguments) or find_resizing(model),
        default_splits=[part],
        default_columns=["label"] if is_classification else names,
        task=task,
        validation_fraction=1.0,
        class_names=names,
    )
    return loaded[0 if part == "train" else -1]


def find_resizing(model):
    """Return the model's own `Resizing`, so that images are prepared as in serving."""
    import keras

    plain = getattr(model, "model", model)  # an AlignedModel holds the plain one
    for layer in plain.layers:
        if isinstance(layer, keras.layers.Resizing):
            return layer
    shape = getattr(plain, "input_shape", ())
    is_fixed = isinstance(shape, tuple) and len(shape) == 4 and None not in shape[1:3]
    return shape[1:3] if is_fixed else None


def _check_order(trained, found, data):
    # One name alone has no order: the column of a single value may be called anything.
    if trained and found and len(trained) > 1 and list(found) != trained:
        raise ValueError(
            f"`DATA` must have the classes that the model was trained on, {trained}, "
            f"in this order. Received: {list(found)} in {data!r}. "
            "Name them alike, or give the columns in this order."
        )
