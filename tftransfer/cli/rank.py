"""Rank pretrained networks by how well their features suit your data, before training.

Features are kept, so that a second ranking of the same data takes seconds. Only rows to
learn from are read: of a folder with train/ that alone.
"""

import argparse
import importlib.util
import json

import tftransfer as tft
from tftransfer.checks import check_choice, check_whole_number
from tftransfer.cli.budgeted import choose_image_size
from tftransfer.cli.datasets import add_data_arguments, load_datasets
from tftransfer.cli.domains import load_target
from tftransfer.cli.durations import read_seconds
from tftransfer.writing import check_may_write, replace_when_whole

HELP = "rank pretrained networks for your data"
EXAMPLES = """\
examples:
  tftransfer rank photos/
  tftransfer rank photos/ --target new_photos/ --output ranking
  tftransfer rank reviews.csv --text-column review --scores linear_probe,knn
  tftransfer rank cifar10 --splits "train[:5000]" --data-dir data --budget 10m --json
"""
SCORES = ("logme", "h_score", "nce", "leep", "linear_probe", "knn")


def add_arguments(parser):
    """Add the arguments of this command."""
    add_data_arguments(parser)
    group = parser.add_argument_group("ranking")
    group.add_argument(
        "--backbones",
        metavar="HANDLES",
        help="with commas (default: all whose weights are on this machine)",
    )
    group.add_argument(
        "--scores", help=f"with commas, out of {','.join(SCORES)} (default: all)"
    )
    group.add_argument("--sort-by", metavar="SCORE", help="default: the first score")
    group.add_argument(
        "--task", choices=["classification", "regression"], default="classification"
    )
    group.add_argument(
        "--target",
        metavar="DATA",
        help="where the model will work, for the distance to there; labels stay unread",
    )
    group.add_argument("--target-split", default="train", help="of a TFDS dataset")
    group.add_argument("--max-rows", type=int, default=5000, metavar="N")
    group.add_argument(
        "--budget", type=read_seconds, metavar="TIME", help="begin no network after it"
    )
    group.add_argument(
        "--output", help="folder to write: ranking.json, and a figure with matplotlib"
    )
    group.add_argument("--overwrite", action="store_true", help="replace the output")
    group.add_argument("--json", action="store_true", help="print JSON")


def run(arguments):
    """Run the command."""
    if arguments.output:
        check_may_write(arguments.output, arguments.overwrite)
    given = _read_scores(arguments)
    handles = arguments.backbones.split(",") if arguments.backbones else None
    size = choose_image_size(arguments, handles)
    data = _load(arguments, size)
    ranking = tft.rank_backbones(
        data,
        handles or "available",
        task=arguments.task,
        target=_load_target(arguments, size, data.class_names),
        budget=arguments.budget,
        max_rows=arguments.max_rows,
        seed=arguments.seed,
        verbose=0 if arguments.json else "auto",
        **given,
    )
    if arguments.output:
        with replace_when_whole(arguments.output, arguments.overwrite) as folder:
            ranking.save(folder / "ranking.json")
            if importlib.util.find_spec("matplotlib") is not None:
                tft.plot_ranking(ranking, folder / "ranking.png")
    print(json.dumps(ranking.to_dict()) if arguments.json else f"\n{ranking}")


def _read_scores(arguments):
    """Return the scores asked for, looked at before any data are."""
    scores = arguments.scores.split(",") if arguments.scores else list(SCORES)
    for score in scores:
        check_choice("--scores", score, SCORES)
    if arguments.sort_by is not None:
        check_choice("--sort-by", arguments.sort_by, scores)
    check_whole_number("--max-rows", arguments.max_rows, 10)
    return {"scores": scores, "sort_by": arguments.sort_by}


def _load(arguments, size):
    data, *_ = load_datasets(
        arguments,
        size,
        default_splits=["train"],
        task=None if arguments.task == "classification" else arguments.task,
        validation_fraction=1.0,
    )
    return data


def _load_target(arguments, size, class_names):
    if arguments.target is None:
        return None
    words = vars(arguments) | {"any_classes": True}
    target = load_target(argparse.Namespace(**words), size, list(class_names or []))
    return target.data.data
