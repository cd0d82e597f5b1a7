"""The two domains of `tftransfer adapt`: one with labels, one whose labels stay out."""

import argparse
import contextlib
import csv
import dataclasses
import hashlib
import io
import json
import pathlib
import tempfile
import zipfile
from typing import Any

import tftransfer as tft
from tftransfer.cli.datasets import is_table, load_datasets

_TRAIN, _SPLITS, _UNLABELED = (
    "train",
    {"train", "training", "val", "valid", "validation", "test"},
    "unsup",
)
_TEXT, _FEWEST = ".txt", 20


@dataclasses.dataclass(frozen=True)
class Target:
    """Rows without labels.

    Attributes:
        data: `UnlabeledDomain`, or `None` where it is features.
        names: List of what to call each row, or `None`.
        key: `str` that tells these rows from others.
        notes: List of str to tell.
    """

    data: Any
    names: list | None
    key: str
    notes: list


def is_features(path):
    """Whether a word names a file of features."""
    return pathlib.Path(path).suffix.lower() == ".npz"


def read_features(name, path, wanted):
    """Read arrays out of a `.npz` file; no others are looked at.

    Args:
        name: What the argument is called, for messages.
        path: The file.
        wanted: Names of arrays.

    Returns:
        List of arrays, and whether the file holds labels.

    Raises:
        ValueError: If the file cannot be read, lacks one, or holds Python objects.
    """
    import numpy as np  # not at the top: help must not wait for it

    try:
        with np.load(path, allow_pickle=False) as file:
            missing = [each for each in wanted if each not in file.files]
            if not missing:
                return [file[each] for each in wanted], "labels" in file.files
            found = f"arrays {file.files}"
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        found = " ".join(str(error).split())
    arrays = " and ".join(repr(each) for each in wanted)
    raise ValueError(
        f"`{name}` must be a .npz file with arrays {arrays}. Received: {str(path)!r}, "
        f"with {found}. Write it with np.savez(path, features=..., labels=...)."
    )


def load_source(arguments, image_size):
    """Load the labeled domain, whole and in its own order.

    Args:
        arguments: Parsed arguments, with `source` and `source_split`.
        image_size: As of `load_datasets`.

    Returns:
        Batched dataset of `(inputs, labels)` with `class_names`.

    Raises:
        ValueError: If it has no classes, or several labels for each row.
    """
    words = vars(arguments) | {"data": arguments.source, "splits": None}
    source, *_ = load_datasets(
        argparse.Namespace(**words),
        image_size,
        default_splits=[arguments.source_split],
        validation_fraction=1.0,
    )
    labels = source.element_spec[1]
    if source.class_names is None or len(labels.shape) != 1:
        raise ValueError(
            "`SOURCE` must have one class for each row. Received: labels of shape "
            f"{tuple(labels.shape)} and {labels.dtype.name}. Name one column of "
            "classes with --label-columns."
        )
    return source


def load_target(arguments, image_size, class_names):
    """Load the domain without labels; where there are any, nobody reads them.

    Args:
        arguments: Parsed arguments, with `target`, `target_split` and `any_classes`.
        image_size: As of `load_datasets`.
        class_names: List of `str`, of the source.

    Returns:
        `Target`.

    Raises:
        ValueError: If directories, or the classes of a TFDS dataset, are no classes of
            the source, or files cannot be read.
    """
    path = pathlib.Path(arguments.target).expanduser().absolute()
    if path.is_dir():
        return _load_folder(arguments, path, image_size, class_names)
    if is_table(path):
        column = (arguments.text_column or arguments.image_column).split(",")[0]
        # What is no label stands in for labels: theirs are not even read.
        data, names = _load_table(arguments, path, column, image_size)
        key = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        return Target(data, names, key, [])
    words = vars(arguments) | {"data": arguments.target, "splits": None}
    (labeled,) = load_datasets(
        argparse.Namespace(**words),
        image_size,
        default_splits=[arguments.target_split],
        shuffle=False,
    )
    notes = _compare(arguments, labeled.class_names or [], class_names)
    key = _digest([arguments.target, arguments.target_split])
    return Target(tft.UnlabeledDomain(labeled), None, key, notes)


def _load_folder(arguments, path, image_size, class_names):
    """Load a folder, sorted into classes or not, as a table of its files."""
    inner = {each.name for each in path.iterdir() if each.is_dir()}
    if _TRAIN in inner and inner <= _SPLITS:
        path = path / _TRAIN
    folders = [each.name for each in path.iterdir() if each.is_dir()]
    folders = sorted(f for f in folders if not f.startswith(".") and f != _UNLABELED)
    notes = _compare(arguments, folders, class_names)
    files = sorted(file for file in path.rglob("*") if _is_wanted(file, path))
    names = [str(file.relative_to(path)) for file in files]
    if len(files) < _FEWEST:
        raise ValueError(
            f"`TARGET` must hold at least {_FEWEST} images or texts. Received: "
            f"{arguments.target!r}, which holds {len(files)} files. Gather more; they "
            "need no labels."
        )
    is_text = 2 * sum(file.suffix.lower() == _TEXT for file in files) > len(files)
    column = "text" if is_text else "image"
    cells = _read_texts(files, names) if is_text else list(map(str, files))
    words = vars(arguments) | {"image_column": "image", "text_column": None}
    words["text_column"] = column if is_text else None
    with tempfile.TemporaryDirectory() as folder:
        table = pathlib.Path(folder, "target.csv")
        _write_table(table, column, cells)
        words = argparse.Namespace(**words)
        data, kept = _load_table(words, table, "half", image_size)
    if kept is not None:  # without those that --skip-corrupt left out
        names = [str(pathlib.Path(file).relative_to(path)) for file in kept]
    return Target(data, names, _digest(names), notes)


def _write_table(path, column, cells):
    # Names of files and texts may hold bytes that are no UTF-8.
    with open(
        path, "w", encoding="utf-8", errors="surrogateescape", newline=""
    ) as file:
        # Every other row another label, none of which means anything.
        rows = ((cell, place % 2) for place, cell in enumerate(cells))
        csv.writer(file).writerows([(column, "half"), *rows])


def _is_wanted(file, root):
    hidden = any(part.startswith(".") for part in file.relative_to(root).parts)
    return file.is_file() and not hidden


def _read_texts(files, names):
    texts = []
    for file, name in zip(files, names, strict=True):
        text = file.read_text(encoding="utf-8-sig", errors="surrogateescape")
        if file.suffix.lower() != _TEXT or not text.strip():
            raise ValueError(
                f"`TARGET` must hold a text in every file. Received: {name!r}, which "
                f"{'is empty' if not text.strip() else f'is not called {_TEXT}'}. "
                "Remove it."
            )
        texts.append(text)
    return texts


def _load_table(arguments, path, label_column, image_size):
    """Return the rows, and the files they are from, or None."""
    words = vars(arguments) | {"data": str(path), "label_columns": label_column}
    (data,) = load_datasets(
        argparse.Namespace(**words),
        image_size,
        default_splits=None,
        validation_fraction=1.0,
        task="classification",
    )
    with contextlib.redirect_stdout(io.StringIO()):  # there are no labels to speak of
        domain = tft.UnlabeledDomain(data)
    return domain, getattr(data, "file_paths", None)


def _compare(arguments, found, class_names):
    """Refuse classes that the source lacks, and tell those that the target lacks."""
    if not found or arguments.any_classes:
        return []
    unknown = sorted(set(found) - set(class_names))
    if unknown:
        raise ValueError(
            f"`TARGET` must have the classes of SOURCE, {sorted(class_names)}, or none "
            f"sorted out. Received: {unknown} in {arguments.target!r}. Rename or "
            "remove them, or add --any-classes where they are no classes, or mean the "
            "same."
        )
    missing = sorted(set(class_names) - set(found))
    return [f"TARGET has nothing called {missing}"] if missing else []


def _digest(content):
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]
