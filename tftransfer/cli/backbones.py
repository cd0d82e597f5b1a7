"""List the pretrained networks: size, width, source of the weights, here or not."""

import dataclasses
import json

import tftransfer as tft

HELP = "list the pretrained networks"
EXAMPLES = """\
examples:
  tftransfer backbones
  tftransfer backbones mobilenet
  tftransfer backbones --local --json
"""


def add_arguments(parser):
    """Add the arguments of this command."""
    parser.add_argument("name", nargs="?", default="", help="part of the name")
    parser.add_argument(
        "--local", action="store_true", help="only those whose weights are here"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments):
    """Run the command."""
    listing = tft.list_backbones(arguments.name, local_only=arguments.local)
    if arguments.json:
        print(json.dumps([dataclasses.asdict(row) for row in listing], indent=2))
    else:
        print(listing)
