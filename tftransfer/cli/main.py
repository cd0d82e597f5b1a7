"""The command `tftransfer`: reads the line, runs one command, turns errors to codes."""

import argparse
import opcode
import os
import sys
import traceback

from tftransfer._version import __version__
from tftransfer.cli import (
    adapt,
    backbones,
    cache,
    demo,
    doctor,
    evaluate,
    export,
    predict,
    rank,
    report,
    train,
)
from tftransfer.cli.quiet import start_tensorflow

_COMMANDS = {
    "demo": demo,
    "train": train,
    "adapt": adapt,
    "rank": rank,
    "doctor": doctor,
    "evaluate": evaluate,
    "predict": predict,
    "export": export,
    "report": report,
    "backbones": backbones,
    "cache": cache,
}
_WITHOUT_TENSORFLOW = {"cache"}
_MISTAKES = (ValueError, TypeError, ImportError, OSError)
_FLAGS = {  # what messages for Python programs call it -> its name here
    "overwrite=True": "--overwrite",
    "on_corrupt='skip'": "--skip-corrupt",
    "pass data_dir='DIRECTORY' here. Or pass download=True.": (
        "pass --data-dir DIRECTORY here."
    ),
}
_EXAMPLES = """\
examples:
  tftransfer demo
  tftransfer rank photos/
  tftransfer train photos/ --output saved_models/photos
  tftransfer adapt photos/ new_photos/ --output saved_models/new --ask 20
  tftransfer predict saved_models/photos new/*.jpg
  tftransfer report saved_models/photos
  tftransfer backbones --local

exit codes: 0 well, 2 a mistake in what was asked (one line says which), 1 otherwise,
and where doctor finds something
"""


def main(arguments=None):
    """Run the command line and return its exit code.

    Args:
        arguments: List of words after `tftransfer`; `None` takes those of the process.

    Returns:
        0 if all went well, 2 for a user's mistake, 1 otherwise and where `doctor`
        finds something wrong.
    """
    parsed = _build_parser().parse_args(arguments)
    try:
        if parsed.command not in _WITHOUT_TENSORFLOW:
            start_tensorflow()
        return _COMMANDS[parsed.command].run(parsed) or 0
    except KeyboardInterrupt:
        print("tftransfer: interrupted, nothing half-written is left", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except _MISTAKES as error:
        if not _is_ours(error):
            traceback.print_exc()
            return 1
        print(f"tftransfer: error: {_to_line(error)}", file=sys.stderr)
        return 2
    except Exception:
        traceback.print_exc()
        return 1


def _build_parser():
    parser = argparse.ArgumentParser(
        prog="tftransfer",
        description="Adapt a pretrained network to your data and serve it.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, module in _COMMANDS.items():
        command = commands.add_parser(
            name,
            help=module.HELP,
            description=module.__doc__,
            epilog=module.EXAMPLES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(command)
    return parser


def _is_ours(error):
    """Whether our own check raised it: then the user can mend it, else we must."""
    last = error.__traceback__
    while last.tb_next is not None:
        last = last.tb_next
    frame = last.tb_frame
    if not frame.f_globals.get("__name__", "").startswith("tftransfer."):
        return False
    # A `raise` statement, not an operation of ours that failed.
    return frame.f_code.co_code[last.tb_lasti] == opcode.opmap["RAISE_VARARGS"]


def _to_line(error):
    line = " ".join(str(error).split())
    for words, flag in _FLAGS.items():
        line = line.replace(words, flag)
    return line


if __name__ == "__main__":
    sys.exit(main())
