"""List or remove the rows kept on disk, which save computing them again.

They lie in the folder named by the environment variable TFTRANSFER_CACHE, or else in
the cache folder of the platform. TFTRANSFER_CACHE_BYTES limits their size.
"""

import dataclasses
import json

from tftransfer.store.listing import clear_entries, format_bytes, list_entries

HELP = "list or remove the rows kept on disk"
EXAMPLES = """\
examples:
  tftransfer cache list
  tftransfer cache list --json
  tftransfer cache clear
  tftransfer cache clear 3f2a9c
"""


def add_arguments(parser):
    """Add the arguments of this command."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="show what is kept")
    listing.add_argument("--json", action="store_true", help="print JSON")
    clearing = actions.add_parser("clear", help="remove what no process is using")
    clearing.add_argument(
        "keys",
        nargs="*",
        metavar="KEY",
        help="only these; the start of a key will do (everything)",
    )


def run(arguments):
    """Run the command."""
    if arguments.action == "clear":
        _clear(arguments.keys or None)
        return
    listing = list_entries()
    if arguments.json:
        print(
            json.dumps([dataclasses.asdict(row) for row in listing.entries], indent=2)
        )
    else:
        print(listing)


def _clear(keys):
    removed, left = clear_entries(keys)
    size = format_bytes(sum(entry.num_bytes for entry in removed))
    print(f"removed {len(removed)} of {len(removed) + len(left)} entries, {size}")
    for entry in left:
        print(f"left {entry.key}: a process is using it")
