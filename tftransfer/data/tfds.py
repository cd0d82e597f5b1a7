"""TensorFlow Datasets, read from a directory where they were prepared."""

import re
from pathlib import Path

import requests
import tensorflow_datasets as tfds
from tensorflow_datasets.core import read_only_builder
from tensorflow_datasets.core.utils import file_utils

from tftransfer.checks import did_you_mean
from tftransfer.data.fingerprints import describe_files
from tftransfer.data.pipelines import Preparation, make_dataset
from tftransfer.data.tfds_features import read_supervision

EVALUATION_SPLITS = ("test", "validation", "valid", "val", "dev")
SHUFFLE_BYTES = 256 * 2**20  # encoded examples held for shuffling, at most
PROBE_SECONDS = 10
NAME_PATTERN = r"\w+(/[\w.-]+)?(:[\d.*]+)?"


def load_tfds(
    name,
    splits,
    *,
    data_dir=None,
    image_size=None,
    batch_size=32,
    shuffle=None,
    seed=0,
    download=False,
    augment=(),
    crop=False,
    interpolation="bilinear",
    cache=False,
    text_features=None,
):
    """Load splits of a TensorFlow Datasets data set as batched datasets.

    Reads what has been prepared on this machine, of whatever version, and asks the
    network for nothing unless `download` is set. The first split is the training
    split (a new order every epoch, augmented if asked) unless it is cut from one
    called test or validation; all others keep the order of the files.

    Args:
        name: Name as TFDS writes it: `"mnist"`, `"imdb_reviews/plain_text"`,
            `"cifar10:3.0.2"`.
        splits: One split or a list of splits in TFDS' syntax: `"train"`,
            `"train[:90%]"`, `"train[:500]+test"`.
        data_dir: Directory that holds the prepared data sets; None takes TFDS' own,
            `TFDS_DATA_DIR` or `~/tensorflow_datasets`.
        image_size: `(height, width)`, an `int` for a square, the model's own
            `Resizing` layer, or None where all images have one size already.
        batch_size: Number of images in a batch.
        shuffle: Whether the first split is for training; None goes by its name.
        seed: Whole number >= 0, for the order and the augmentation.
        download: Whether to download and prepare what is not there.
        augment: Names out of `AUGMENTATIONS`, for the training split only.
        crop: Whether to cut to the aspect ratio of `image_size` instead of squeezing.
        interpolation: One of `tftransfer.resizing.INTERPOLATIONS`.
        cache: Whether to keep decoded images in memory after the first epoch.
        text_features: Name of the text feature to take, or a list of those to join
            with blanks, such as `("title", "description")` for `"ag_news_subset"`;
            None for what the data set says of itself, there the description alone.

    Returns:
        List of batched datasets of `(image, label)`, in the order of `splits`; for a
        single string that one dataset. Images are uint8, or float32 where they are
        resized, in 0..255, of shape `(batch, height, width, 3)`, grey ones repeated
        to three channels; texts are passed on as strings `(batch,)`. Class labels
        are int64 `(batch,)`. Each has `class_names`.

    Raises:
        ConnectionError: If `download` is set and the source cannot be reached.
        FileNotFoundError: If the data set is not prepared on this machine.
        TypeError: If an option has the wrong type.
        ValueError: If the name or a split is unknown or empty, the images need an
            `image_size`, the data set is not one of labeled images or texts, or
            `text_features` names no text of it.

    Example:

    ```python
    train, valid, test = tft.load_tfds(
        "cifar10", ["train[:90%]", "train[90%:]", "test"], image_size=(160, 160)
    )
    ```
    """
    preparation = Preparation(
        image_size, batch_size, seed, augment, crop, interpolation, cache
    )
    names = _check_split_names(splits)
    builder = _find_builder(name, data_dir, download)
    for split in names:
        _check_split(builder, split)
    supervision = read_supervision(name, builder.info, preparation, text_features)
    if shuffle is None:
        shuffle = names[0].partition("[")[0] not in EVALUATION_SPLITS
    datasets = []
    for position, split in enumerate(names):
        training = bool(shuffle) and position == 0
        dataset = _make_split(builder, split, supervision, preparation, training)
        dataset.split_name = split
        dataset.license = read_license(builder.info)
        datasets.append(dataset)
    return datasets[0] if isinstance(splits, str) else datasets


def _make_split(builder, split, supervision, preparation, training):
    num_examples = builder.info.splits[split].num_examples
    shuffle_buffer = min(num_examples, _shuffle_buffer(builder.info.splits))
    is_large = training and shuffle_buffer < num_examples
    return make_dataset(
        _read(builder, split, supervision),
        supervision.decode,
        preparation,
        training=training,
        shape=supervision.shape,
        class_names=supervision.class_names,
        shuffle_buffer=shuffle_buffer,
        identity=_identify(builder, split, supervision),
        shuffled_examples=(
            _read(builder, split, supervision, preparation.seed) if is_large else None
        ),
    )


def _read(builder, split, supervision, shuffle_seed=None):
    is_shuffled = shuffle_seed is not None
    examples = builder.as_dataset(
        split=split,
        decoders=supervision.decoders,
        shuffle_files=is_shuffled,
        read_config=tfds.ReadConfig(
            shuffle_seed=shuffle_seed,
            shuffle_reshuffle_each_iteration=True,
            interleave_cycle_length=16 if is_shuffled else 1,
            enable_ordering_guard=False,
            try_autocache=False,
            skip_prefetch=True,
        ),
    )
    return examples.map(supervision.pick)


def _identify(builder, split, supervision):
    """Tell the rows of a split by their data set and the files they lie in."""
    instructions = builder.info.splits[split].file_instructions
    files = describe_files([str(part.filename) for part in instructions])
    return files and {
        "source": ["tfds", builder.info.full_name, tfds.__version__],
        "features": [supervision.keys, supervision.shape],
        "class_names": supervision.class_names,
        "files": [
            [*file, part.skip, part.take]
            for file, part in zip(files, instructions, strict=True)
        ],
    }


def _shuffle_buffer(splits):
    num_bytes = sum(int(split.num_bytes) for split in splits.values())
    num_examples = sum(split.num_examples for split in splits.values())
    return max(1000, SHUFFLE_BYTES * num_examples // max(1, num_bytes))


def _check_split_names(splits):
    names = [splits] if isinstance(splits, str) else splits
    is_list = isinstance(names, (list, tuple)) and len(names) > 0
    if not is_list or not all(isinstance(name, str) for name in names):
        raise TypeError(
            "`splits` must be one split or a list of splits, as `str`. "
            f"Received: splits={splits!r}. "
            "Write for example ['train[:90%]', 'train[90%:]', 'test']."
        )
    return list(names)


def read_license(info):
    """Return the license that TFDS states for a data set, `None` where it does not."""
    stated = info.redistribution_info
    return getattr(stated, "license", None) or None


def _check_split(builder, split):
    sizes = {key: info.num_examples for key, info in builder.info.splits.items()}
    try:
        size = builder.info.splits[split].num_examples
        reason = "which holds no examples"
    except (KeyError, ValueError) as error:
        size, reason = 0, str(error).splitlines()[-1].rstrip(".")
    if size <= 0:
        raise ValueError(
            f"`splits` must be cut from these splits (with their sizes): {sizes}. "
            f"Received: {split!r} ({reason}). {did_you_mean(split, sizes)} "
            "Write for example 'train', 'train[:90%]', 'train[:500]+test'."
        )


def _find_builder(name, data_dir, download):
    if not isinstance(name, str):
        raise TypeError(
            f"`name` must be the name of a data set. Received: name={name!r}. "
            "Write for example 'cifar10'."
        )
    data_dir = None if data_dir is None else str(Path(data_dir).expanduser())
    try:
        return read_only_builder.builder_from_files(name, data_dir=data_dir)
    except ValueError as error:  # DatasetNotFoundError is one too
        is_found = not isinstance(error, tfds.core.DatasetNotFoundError)
        if is_found and re.fullmatch(NAME_PATTERN, name):
            raise
    directories = [str(path) for path in file_utils.list_data_dirs(data_dir)]
    prepared = sorted({entry for path in directories for entry in _prepared(path)})
    _check_known(name, data_dir, prepared)
    if download:
        _download(name, data_dir)
        return read_only_builder.builder_from_files(name, data_dir=data_dir)
    raise FileNotFoundError(
        "`name` must be a data set that is prepared on this machine. "
        f"Received: name={name!r}, data_dir={data_dir!r}. Looked in {directories}, "
        f"which holds {prepared or 'no data set'}. On a machine with network run: "
        f'python -c "import tensorflow_datasets as tfds; '
        f"tfds.load({name!r}, data_dir='DIRECTORY')\"; copy DIRECTORY if need be, and "
        "pass data_dir='DIRECTORY' here. Or pass download=True."
    )


def _prepared(directory):
    """List what a directory holds, as `name` or `name/config`."""
    root = Path(directory)
    found = [*root.glob("*/*/features.json"), *root.glob("*/*/*/features.json")]
    names = {"/".join(path.relative_to(root).parts[:-2]) for path in found}
    return sorted(name for name in names if not name.startswith("."))


def _check_known(name, data_dir, prepared):
    plain = name.split("/")[0].split(":")[0]
    known = tfds.list_builders(with_community_datasets=False)
    if plain not in {*known, *(entry.split("/")[0] for entry in prepared)}:
        raise ValueError(
            "`name` must be a data set that TFDS knows or that is prepared on this "
            f"machine. Received: name={name!r}, data_dir={data_dir!r}. "
            f"{did_you_mean(plain, [*prepared, *known])} "
            f"Prepared here: {prepared or 'none'}."
        )


def _download(name, data_dir):
    builder = tfds.builder(name, data_dir=data_dir)
    for url in list(builder.url_infos or ())[:1]:
        try:
            requests.head(url, timeout=PROBE_SECONDS)
        except requests.RequestException as error:
            # TFDS itself would try again for minutes.
            raise ConnectionError(
                f"download=True needs the network, and {url} cannot be reached "
                f"({type(error).__name__}). Prepare {name!r} on a machine with "
                "network, copy the directory and pass data_dir=."
            ) from error
    config = tfds.download.DownloadConfig(try_download_gcs=False)
    builder.download_and_prepare(download_config=config)
