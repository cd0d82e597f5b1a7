"""Write the card of an exported model: what it is, how good, and its limits."""

import tftransfer as tft

HELP = "write a page that says what an export is and how good"
EXAMPLES = """\
examples:
  tftransfer report saved_models/photos
  tftransfer report saved_models/photos --title "Photos of the north hall"
"""


def add_arguments(parser):
    """Add the arguments of this command."""
    parser.add_argument(
        "model", metavar="EXPORT", help="a folder that train or export wrote"
    )
    parser.add_argument("--title", help="heading (default: the folder's name)")


def run(arguments):
    """Run the command."""
    page = tft.write_model_card(arguments.model, title=arguments.title)
    print(f"Written: {page} and {page.with_suffix('.md').name} beside it")
