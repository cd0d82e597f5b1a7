"""Ask an exported model what is on some images, or what some texts say."""

import tftransfer as tft

HELP = "ask an exported model for predictions"
EXAMPLES = """\
examples:
  tftransfer predict saved_models/photos photo.jpg
  tftransfer predict saved_models/photos new/*.png --json
  tftransfer predict saved_models/reviews "A fine film." "Dull from start to end."
"""


def add_arguments(parser):
    """Add the arguments of this command."""
    parser.add_argument("model", metavar="EXPORT", help="a folder that export wrote")
    parser.add_argument(
        "inputs", metavar="INPUT", nargs="+", help="images, or a folder; texts"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--batch-size", type=int, default=32, metavar="N")


def run(arguments):
    """Run the command."""
    exported = tft.load_exported(arguments.model)
    inputs = arguments.inputs
    rows = inputs[0] if len(inputs) == 1 else inputs
    predictions = exported.predict(rows, batch_size=arguments.batch_size)
    print(predictions.to_json() if arguments.json else predictions)
