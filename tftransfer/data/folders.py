"""Folders of images or texts with one directory per class."""

from pathlib import Path

import numpy as np

from tftransfer.data.files import (
    check_file_options,
    common_shape,
    find_readable,
    make_file_datasets,
    split_off,
)
from tftransfer.data.pipelines import Preparation
from tftransfer.data.text_files import ENDING, holds_texts, read_text_files
from tftransfer.data.texts import check_no_pixels, make_text_datasets

SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
}
SPLIT_ORDER = ("train", "validation", "test")
UNLABELED = "unsup"  # as the Large Movie Review Dataset calls what has no label


def load_folder(
    path,
    *,
    image_size=None,
    batch_size=32,
    validation_fraction=0.2,
    class_names=None,
    seed=0,
    on_corrupt="error",
    augment=(),
    crop=False,
    interpolation="bilinear",
    cache=False,
):
    """Load a folder of images, or of texts, sorted into one directory per class.

    Two layouts are understood, told apart by their names: `path/<class>/...`, from
    which a stratified share is set aside for validation; and `path/train/<class>/...`
    beside `validation` (or `valid`, `val`) and `test`, of which only `train` must be
    there (a share is set aside from it where there is no validation folder). Every
    file is decoded once before anything else, so that a broken one is named now and
    not in the middle of training. Names that begin with a dot are passed over.

    Where all files are called `.txt`, each is a text. Texts are kept in memory with
    the bytes of the files, but for the mark of UTF-8 at the start that some programs
    write; a file that holds nothing is treated as a broken one, and a directory
    `unsup`, the part without labels of the Large Movie Review Dataset (aclImdb), is
    passed over.

    Args:
        path: Directory, `str` or `Path`.
        image_size: `(height, width)`, an `int` for a square, the model's own
            `Resizing` layer, or None where all images have one size already.
        batch_size: Number of images in a batch.
        validation_fraction: Share in 0..1 to set aside where there is no validation
            folder. 0 sets nothing aside; 1 loads all for evaluation only.
        class_names: List of `str`, the classes in the order of the model's outputs;
            None takes the sorted names of the directories.
        seed: Whole number >= 0, for the split, the order and the augmentation.
        on_corrupt: `"error"` refuses files that are no whole image, or no text,
            `"skip"` warns, lists them and goes on.
        augment: Names out of `AUGMENTATIONS`, for the training images only.
        crop: Whether to cut to the aspect ratio of `image_size` instead of squeezing.
        interpolation: One of `tftransfer.resizing.INTERPOLATIONS`.
        cache: Whether to keep decoded images in memory after the first epoch.

    Returns:
        List of batched datasets of `(image, label)` in the order train, validation,
        test, without those that have no examples. Images are float32 (uint8 where
        `image_size` is None) in 0..255, of shape `(batch, height, width, 3)`; labels
        int64 `(batch,)`; texts are strings `(batch,)`. Each has `class_names` and
        `split_name`. The training set is
        in a new order every epoch.

    Raises:
        FileNotFoundError: If `path` is no directory.
        ValueError: If a file is no whole image or no text, there are both, classes
            are missing or fewer than two, or an option is out of range.

    Example:

    ```python
    train, validation = tft.load_folder("photos", image_size=(224, 224))
    train, validation, test = tft.load_folder("photos_with_test", image_size=224)
    (everything,) = tft.load_folder("new", image_size=224, validation_fraction=1.0)
    train, validation, test = tft.load_folder("aclImdb")
    ```
    """
    check_file_options(validation_fraction, on_corrupt)
    preparation = Preparation(
        image_size, batch_size, seed, augment, crop, interpolation, cache
    )
    root = _check_directory(path)
    roots = _find_splits(root)
    class_names = _check_classes(roots, class_names)
    found = [_list_split(name, folder, class_names) for name, folder in roots.items()]
    splits, paths, labels = map(np.concatenate, zip(*found, strict=True))
    names = [str(Path(file).relative_to(root)) for file in paths]
    texts = None
    if holds_texts(names):
        check_no_pixels(f"path={str(path)!r}, which holds texts", preparation)
        texts, readable = read_text_files(paths.tolist(), names, on_corrupt)
    else:
        readable, sizes, hashes = find_readable(
            paths.tolist(), names, on_corrupt=on_corrupt
        )
    splits, paths, labels = splits[readable], paths[readable], labels[readable]
    _check_counts(path, splits, labels, class_names, validation_fraction)
    if "validation" not in roots:
        _set_aside(splits, labels, validation_fraction, seed)
    parts = {name: np.flatnonzero(splits == name) for name in SPLIT_ORDER}
    if texts is not None:
        return make_text_datasets(
            parts, texts, labels, preparation, class_names=class_names, paths=paths
        )
    return make_file_datasets(
        parts,
        paths,
        labels,
        preparation,
        shape=common_shape(sizes, [names[i] for i in readable], preparation),
        class_names=class_names,
        contents=hashes[readable].tolist(),
    )


def _check_directory(path):
    root = Path(path).expanduser()
    if not root.is_dir():
        raise FileNotFoundError(
            "`path` must be a directory with one directory of images, or of texts, per "
            "class. "
            f"Received: path={str(path)!r}, which is no directory."
        )
    return root


def _directories(root):
    found = sorted(entry.name for entry in root.iterdir() if entry.is_dir())
    return [name for name in found if not name.startswith(".")]


def _find_splits(root):
    names = _directories(root)
    if "train" not in names or any(name not in SPLIT_NAMES for name in names):
        return {"train": root}
    splits = {}
    for name in names:
        if SPLIT_NAMES[name] in splits:
            raise ValueError(
                "`path` must hold each split once. "
                f"Received: directories {names} in {str(root)!r}. Remove one of them."
            )
        splits[SPLIT_NAMES[name]] = root / name
    return splits


def _check_classes(roots, class_names):
    expected = list(class_names or _class_directories(roots["train"]))
    if len(expected) < 2 or len(set(expected)) < len(expected):
        raise ValueError(
            "`path` must hold at least two directories of images or texts, one per "
            "class. "
            f"Received: classes {expected} in {str(roots['train'])!r}. "
            "Sort the files into path/<class>/<file>."
        )
    for root in roots.values():
        unknown = sorted(set(_class_directories(root)) - set(expected))
        if unknown:
            raise ValueError(
                "Every directory must be named like one of the classes "
                f"{expected}. Received: directories {unknown} in {str(root)!r}. "
                "Rename or remove them."
            )
    return expected


def _class_directories(root):
    names = _directories(root)
    if UNLABELED in names and any((root / UNLABELED).glob(f"*{ENDING}")):
        names.remove(UNLABELED)
    return names


def _list_split(split, root, class_names):
    paths: list[str] = []
    labels: list[int] = []
    for label, class_name in enumerate(class_names):
        directory = root / class_name
        files = sorted(
            file
            for file in directory.rglob("*")
            if file.is_file() and not _is_hidden(file.relative_to(directory))
        )
        paths += map(str, files)
        labels += [label] * len(files)
    names = np.array([split] * len(paths), dtype=object)
    return names, np.array(paths, dtype=object), np.array(labels, dtype=np.int64)


def _is_hidden(path):
    return any(part.startswith(".") for part in path.parts)


def _check_counts(path, splits, labels, class_names, validation_fraction):
    counts = np.bincount(labels[splits == "train"], minlength=len(class_names))
    empty = [name for name, count in zip(class_names, counts, strict=True) if not count]
    # What is only evaluated may lack some of the model's classes.
    if len(empty) == len(class_names) or (empty and validation_fraction < 1):
        raise ValueError(
            "Every class must have at least one image, or text. "
            f"Received: none for {empty} in path={str(path)!r}. "
            "Add some, or remove the empty directories."
        )


def _set_aside(splits, labels, fraction, seed):
    train = np.flatnonzero(splits == "train")
    aside = split_off(labels[train], fraction, seed)[1]
    splits[train[aside]] = "validation"
