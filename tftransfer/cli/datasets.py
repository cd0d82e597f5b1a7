"""The words that name data on the command line, and what they load."""

import pathlib
import re

import tftransfer as tft

SOURCES = (
    "a folder with one directory of images or .txt files per class (or train/, "
    "validation/, test/), a CSV file with image paths or texts and labels, or the name "
    "of a TFDS dataset"
)
_TABLE = re.compile(r".*\.(csv|tsv|jsonl)(\.(gz|xz|bz2))?", re.IGNORECASE)


def add_data_arguments(parser):
    """Add the data and how to read it to the parser of a command."""
    parser.add_argument("data", metavar="DATA", help=SOURCES)
    group = add_reading_arguments(parser)
    group.add_argument(
        "--splits",
        help='TFDS splits, such as "train[:90%%],train[90%%:],test"',
    )


def add_reading_arguments(parser):
    """Add how data are read to the parser of a command, and return the group."""
    group = parser.add_argument_group("data")
    group.add_argument(
        "--image-size",
        type=int,
        nargs="+",
        metavar="PIXELS",
        help="height and width, or one number for a square (default: the model's)",
    )
    group.add_argument("--batch-size", type=int, default=32, metavar="N")
    group.add_argument("--data-dir", help="where prepared TFDS datasets lie")
    group.add_argument("--image-column", default="image", help="of a CSV file")
    group.add_argument(
        "--text-column",
        help="of a CSV file, or a feature of a TFDS dataset, with texts; several, "
        "separated by commas, are joined",
    )
    group.add_argument(
        "--label-columns", help="of a CSV file, separated by commas (default: label)"
    )
    group.add_argument(
        "--skip-corrupt",
        action="store_true",
        help="leave out files that are no images, and missing texts, instead of "
        "stopping",
    )
    group.add_argument("--seed", type=int, default=0, metavar="N")
    return group


def is_table(path):
    """Whether a word names a table, by its ending."""
    return _TABLE.fullmatch(pathlib.Path(path).name) is not None


def load_datasets(
    arguments,
    image_size,
    *,
    default_splits,
    default_columns=("label",),
    task=None,
    **options,
):
    """Load what the arguments name.

    Args:
        arguments: Parsed arguments, with those of `add_data_arguments`.
        image_size: `(height, width)`, the model's own `Resizing` layer, or None where
            nothing is resized.
        default_splits: TFDS splits where none were asked for, a list.
        default_columns: Label columns of a CSV file where none were asked for.
        task: Task of the labels in a CSV file; `None` lets the loader tell.
        **options: Further options of the loaders, such as `augment`.

    Returns:
        List of datasets: train, then what there is of validation and test.
    """
    # Not at the top: help must not wait for it. The order of shuffled data follows the
    # global seed too.
    import keras

    keras.utils.set_random_seed(arguments.seed)
    path = pathlib.Path(arguments.data)
    common = {
        "image_size": image_size,
        "batch_size": arguments.batch_size,
        "seed": arguments.seed,
        **options,
    }
    on_corrupt = "skip" if arguments.skip_corrupt else "error"
    if is_table(path):
        columns = default_columns or ["label"]
        return _load_table(
            arguments, columns, task=task, on_corrupt=on_corrupt, **common
        )
    if path.is_dir():
        return tft.load_folder(path, on_corrupt=on_corrupt, **common)
    common.pop("validation_fraction", None)
    common.pop("class_names", None)
    splits = _split(arguments.splits) or default_splits
    try:
        return tft.load_tfds(
            arguments.data,
            splits,
            data_dir=arguments.data_dir,
            text_features=_split(arguments.text_column),
            **common,
        )
    except ValueError as error:
        if "Received: name=" not in str(error):
            raise
        raise ValueError(
            f"`DATA` must be {SOURCES}. Received: {arguments.data!r}, which is neither "
            f"a folder nor a file here, nor a dataset: {error}"
        ) from error


def _load_table(arguments, columns, **options):
    columns = _split(arguments.label_columns) or list(columns)
    texts = _split(arguments.text_column)
    return tft.load_table(
        arguments.data,
        None if texts else arguments.image_column,
        columns[0] if len(columns) == 1 else columns,
        text_column=texts,
        **options,
    )


def _split(names):
    return names.split(",") if names else None


def read_image_size(arguments):
    """Return `--image-size` as `(height, width)`, or `None` where it was left out."""
    size = arguments.image_size
    if size is None:
        return None
    if len(size) > 2:
        raise ValueError(
            f"`--image-size` must be one or two numbers. Received: {size}. "
            "Write for example --image-size 224 224."
        )
    return tuple(size) if len(size) == 2 else (size[0], size[0])
