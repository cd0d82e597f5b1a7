"""Write a trained `.keras` file as a SavedModel that takes raw image bytes."""

import tftransfer as tft

HELP = "write a .keras file as a SavedModel that serves"
EXAMPLES = """\
examples:
  tftransfer export model.keras saved_models/photos --class-names cat,dog
  tftransfer export model.keras saved_models/photos --overwrite
"""


def add_arguments(parser):
    """Add the arguments of this command."""
    parser.add_argument("model", metavar="MODEL", help="a .keras file")
    parser.add_argument("output", metavar="OUTPUT", help="folder to write")
    parser.add_argument("--class-names", help="in the order of outputs, with commas")
    parser.add_argument(
        "--task", choices=["classification", "multi_label", "regression"]
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the output")
    parser.add_argument(
        "--trust",
        action="store_true",
        help="load a file with a hub module inside, which is a program",
    )


def run(arguments):
    """Run the command."""
    names = arguments.class_names
    tft.export_model(
        tft.load_model(arguments.model, safe_mode=not arguments.trust),
        arguments.output,
        class_names=names.split(",") if names else None,
        task=arguments.task,
        overwrite=arguments.overwrite,
    )
