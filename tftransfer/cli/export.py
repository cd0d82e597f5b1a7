"""Write a trained `.keras` file as a SavedModel that takes raw image bytes."""

import tftransfer as tft
from tftransfer.cli.trained import (
    add_augment_argument,
    add_trust_argument,
    load_trained,
    read_about,
)

HELP = "write a .keras file as a SavedModel that serves"
EXAMPLES = """\
examples:
  tftransfer export model.keras saved_models/photos --class-names cat,dog
  tftransfer export model.keras saved_models/photos --overwrite --augment 2
"""


def add_arguments(parser):
    """Add the arguments of this command."""
    parser.add_argument("model", metavar="MODEL", help="a .keras file")
    parser.add_argument("output", metavar="OUTPUT", help="folder to write")
    parser.add_argument(
        "--class-names",
        help="in the order of outputs, with commas (default: those beside the file)",
    )
    parser.add_argument(
        "--task", choices=["classification", "multi_label", "regression"]
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the output")
    add_augment_argument(parser)
    add_trust_argument(parser)


def run(arguments):
    """Run the command."""
    names, about = arguments.class_names, read_about(arguments.model)
    tft.check_export_path(arguments.output, overwrite=arguments.overwrite)
    tft.export_model(
        load_trained(arguments.model, trust=arguments.trust),
        arguments.output,
        class_names=names.split(",") if names else about.get("class_names"),
        task=arguments.task or about.get("task"),
        augment=arguments.augment,
        overwrite=arguments.overwrite,
    )
