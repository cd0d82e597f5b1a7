"""Adapt to a place without labels where that helps, and stay put where it does not.

SOURCE has labels, TARGET is where the model will work and needs none: if it has any,
nobody reads them. With --ask some of its rows are put on a page to be labeled; with
--labels, in a later run with the same words, those labels decide.
"""

import dataclasses
import hashlib
import pathlib

import tftransfer as tft
from tftransfer.checks import check_whole_number
from tftransfer.cli.adapted import (
    carry_questions,
    decide_on,
    name_question,
    read_earlier,
    write_layer,
    write_network,
    write_report,
)
from tftransfer.cli.datasets import SOURCES, add_reading_arguments
from tftransfer.cli.domains import Target, is_features, load_source, load_target
from tftransfer.cli.domains import read_features as read_arrays
from tftransfer.cli.durations import read_seconds
from tftransfer.cli.networks import add_backbone_arguments, load_backbone
from tftransfer.writing import replace_when_whole

HELP = "adapt to data without labels, if that helps"
EXAMPLES = """\
examples:
  tftransfer adapt photos/ new_photos/ --output saved_models/new --ask 20
  tftransfer adapt photos/ new_photos/ --output saved_models/new \\
      --labels saved_models/new/to_label.csv
  tftransfer adapt reviews.csv other.csv --text-column review --output adapted
  tftransfer adapt cifar10 other_place/ --data-dir data --output adapted
  tftransfer adapt source.npz target.npz --output adapted
"""
_SAME = (  # of a run with labels and of the one that asked for them
    *("source", "target", "backbone", "weights", "image_size", "image_column"),
    *("text_column", "label_columns", "source_split", "target_split", "seed"),
    *("skip_corrupt", "any_classes", "time_budget"),
)


def add_arguments(parser):
    """Add the arguments of this command."""
    parser.add_argument(
        "source", metavar="SOURCE", help=f"{SOURCES}, or a .npz file of features"
    )
    parser.add_argument(
        "target",
        metavar="TARGET",
        help="the same without labels: a folder may hold the files as they are",
    )
    group = add_reading_arguments(parser)
    group.add_argument("--source-split", default="train", help="of a TFDS dataset")
    group.add_argument("--target-split", default="train", help="of a TFDS dataset")
    group.add_argument(
        "--any-classes",
        action="store_true",
        help="go on where TARGET is sorted into other classes than SOURCE",
    )
    parser.add_argument("--output", required=True, help="folder to write")
    parser.add_argument("--overwrite", action="store_true", help="replace the output")
    add_backbone_arguments(parser)
    group = parser.add_argument_group("adaptation")
    group.add_argument(
        "--time-budget",
        type=read_seconds,
        metavar="TIME",
        help="such as 10m: train copies of the backbone too, as far as that reaches",
    )
    group.add_argument(
        "--ask", type=int, metavar="N", help="write a page to label N rows of TARGET by"
    )
    group.add_argument(
        "--labels", metavar="CSV", help="the file that --ask wrote, filled"
    )


def run(arguments):
    """Run the command."""
    given = {name: getattr(arguments, name) for name in _SAME}
    earlier = _check(arguments, given)
    adapt = _adapt_features if is_features(arguments.source) else _adapt_domain
    result, target, write_model = adapt(arguments, earlier)
    output = pathlib.Path(arguments.output)
    about = {"arguments": given, "questions": earlier.get("questions", {})}
    with replace_when_whole(output, overwrite=True) as folder:
        written = write_model(folder)
        write_report(folder, result, target.names, about)
        carry_questions(output, folder)
    print(f"\n{result}\n\nWritten to {output}: {written}")
    if arguments.ask is not None:
        _ask(arguments, result, target, about)


def _check(arguments, given):
    """Return what an earlier run wrote that this one goes on from, or nothing."""
    if arguments.ask is not None:
        check_whole_number("--ask", arguments.ask)
    check_whole_number("--seed", arguments.seed, minimum=0)
    kinds = [is_features(path) for path in (arguments.source, arguments.target)]
    if kinds[0] != kinds[1]:
        raise ValueError(
            "`SOURCE` and `TARGET` must both be .npz files, or neither. Received: "
            f"{arguments.source!r} and {arguments.target!r}. Compute features of both "
            "with the same network."
        )
    return read_earlier(
        arguments.output, arguments.labels, given, overwrite=arguments.overwrite
    )


def _adapt_features(arguments, earlier):
    (rows, labels), _ = read_arrays("SOURCE", arguments.source, ["features", "labels"])
    (target,), has_labels = read_arrays("TARGET", arguments.target, ["features"])
    notes = ["labels of the target are left unread"] if has_labels else []
    result = tft.adapt_features(rows, labels, target, seed=arguments.seed)
    key = hashlib.sha256(pathlib.Path(arguments.target).read_bytes()).hexdigest()[:16]
    result = dataclasses.replace(result, data_key=key, notes=notes + result.notes)
    result = decide_on(result, arguments.labels, earlier)
    shown = Target(None, None, key, notes)
    return result, shown, lambda folder: write_layer(folder, result, target)


def _adapt_domain(arguments, earlier):
    backbone = load_backbone(arguments)
    source = load_source(arguments, backbone.image_size)
    names = list(source.class_names)
    target = load_target(arguments, backbone.image_size, names)
    found = tft.adapt_domain(
        backbone,
        source,
        target.data,
        time_budget=arguments.time_budget,
        seed=arguments.seed,
    )
    notes = target.notes + found.notes
    result = dataclasses.replace(found.features, data_key=target.key, notes=notes)
    result = decide_on(result, arguments.labels, earlier)
    if result.asked:
        found = found.decide(result.asked)

    def write(folder):
        about = {"source": arguments.source, "target": arguments.target}
        about["backbone"] = arguments.backbone
        return write_network(folder, found, names, target.data.data, about)

    return result, target, write


def _ask(arguments, result, target, about):
    output = pathlib.Path(arguments.output)
    name = name_question(output)
    question = result.ask(
        arguments.ask, output / name, inputs=target.data, seed=arguments.seed
    )
    if question.csv is None:
        return
    about["questions"] = {**about["questions"], name: question.rows.tolist()}
    write_report(output, result, target.names, about)
    print(
        f"Open {question.page} in a browser, label, and save what it downloads over "
        f"{question.csv}. Then run the same again with --labels {question.csv}"
    )
