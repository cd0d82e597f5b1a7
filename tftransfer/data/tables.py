"""Tables (CSV) of image paths or texts, and labels."""

from pathlib import Path

from tftransfer.checks import check_choice
from tftransfer.data.files import (
    SHOWN,
    check_file_options,
    common_shape,
    find_readable,
    make_file_datasets,
    split_off,
)
from tftransfer.data.labels import read_labels
from tftransfer.data.pipelines import Preparation
from tftransfer.data.table_rows import read_rows
from tftransfer.data.text_columns import read_texts
from tftransfer.data.texts import check_no_pixels, make_text_datasets


def load_table(
    csv,
    image_column=None,
    label_columns="label",
    *,
    text_column=None,
    image_size=None,
    batch_size=32,
    validation_fraction=0.2,
    task=None,
    class_names=None,
    seed=0,
    on_corrupt="error",
    augment=(),
    crop=False,
):
    """Load images or texts, and their labels, from a CSV file with a header row.

    One column of names or whole numbers is classification, several columns of 0 and
    1 are multi-label, and numbers with `task="regression"` are values to predict.
    Missing files, empty or unusable labels are named with their row before anything
    is trained; rows are counted as an editor counts lines, so the first below the
    header is row 2. Texts are kept in memory.

    Args:
        csv: Path of the file, UTF-8: `.csv`, `.tsv` separated by tabs, or `.jsonl`
            with an object on each line; `.gz`, `.xz` and `.bz2` are unpacked.
        image_column: Name of the column with image paths, absolute or relative to
            the folder of `csv`.
        label_columns: Name of the label column, or a list of names.
        text_column: Name of the column with texts, in place of `image_column`, or a
            list of columns, joined with blanks. A row without a text is one that is
            blank, or holds `nan`, `NaN`, `<NA>`, `None`, `NULL` or `null` alone, or no
            string in JSON; of joined columns one must be filled.
        image_size: `(height, width)`, an `int` for a square, the model's own
            `Resizing` layer, or None where all images have one size already.
        batch_size: Number of images in a batch.
        validation_fraction: Share in 0..1 of the rows to set aside, stratified. 0
            sets nothing aside; 1 loads all for evaluation only, in the file's order.
        task: `"classification"`, `"multi_label"`, `"regression"`, or None to tell
            the first two apart by the number of columns.
        class_names: List of `str`, the classes in the order of the model's outputs
            (classification only); None takes the sorted labels of the table.
        seed: Whole number >= 0, for the split, the order and the augmentation.
        on_corrupt: `"error"` refuses files that are no whole image and rows without a
            text, `"skip"` warns, lists them and goes on.
        augment: Names out of `AUGMENTATIONS`, for the training images only.
        crop: Whether to cut to the aspect ratio of `image_size` instead of squeezing.

    Returns:
        List of batched datasets, train and validation, without those that have no
        rows. Images are as `load_folder` gives them, texts strings `(batch,)` with
        the bytes of the file. Labels are int64 `(batch,)`
        for classification, else float32 `(batch, columns)`. Each has `class_names`
        (for multi-label and regression the columns) and `split_name`.

    Raises:
        FileNotFoundError: If `csv` or an image it names is not there.
        ValueError: If a column, text or label is missing or unusable, a file is no
            whole image, there is one class only, or an option is out of range.

    Example:

    ```python
    train, validation = tft.load_table("cells.csv", "file", "grade", image_size=224)
    train, validation = tft.load_table(
        "cells.csv", "file", ["crack", "finger"], image_size=224
    )
    train, validation = tft.load_table(
        "reviews.csv", text_column=["title", "text"], label_columns="stars"
    )
    ```
    """
    check_file_options(validation_fraction, on_corrupt)
    preparation = Preparation(image_size, batch_size, seed, augment, crop)
    sources = _choose_columns(image_column, text_column)
    columns = [label_columns] if isinstance(label_columns, str) else list(label_columns)
    rows = _read_rows(csv, [*sources, *columns])
    labels = read_labels(_to_text(rows, columns), columns, task, class_names)
    if text_column is not None:
        check_no_pixels(f"text_column={text_column!r}", preparation)
        texts, readable = read_texts(rows, sources, on_corrupt)
        parts = _split(labels, readable, validation_fraction, seed)
        return make_text_datasets(
            parts, texts, labels.values, preparation, class_names=labels.class_names
        )
    paths, names = _find_images(csv, rows, image_column)
    readable, sizes, hashes = find_readable(paths, names, on_corrupt=on_corrupt)
    return make_file_datasets(
        _split(labels, readable, validation_fraction, seed),
        paths,
        labels.values,
        preparation,
        shape=common_shape(sizes, [names[i] for i in readable], preparation),
        class_names=labels.class_names,
        contents=hashes.tolist(),
    )


def _choose_columns(image_column, text_column):
    columns = image_column or text_column
    columns = [columns] if isinstance(columns, str) else list(columns or ())
    is_one_kind = bool(image_column) != bool(text_column)
    is_named = columns and all(isinstance(column, str) for column in columns)
    if not is_one_kind or not is_named or (image_column and len(columns) > 1):
        raise ValueError(
            "`image_column` must be the name of a column, or `text_column` one or a "
            f"list of them, not both. Received: image_column={image_column!r}, "
            f"text_column={text_column!r}."
        )
    return columns


def _split(labels, readable, validation_fraction, seed):
    train, aside = split_off(labels.strata[readable], validation_fraction, seed)
    return {"train": readable[train], "validation": readable[aside]}


def _read_rows(csv, needed):
    rows, columns = read_rows(csv)
    for name in needed:
        known = f"These are the columns of {Path(csv).name}."
        check_choice("column", name, columns, known)
    return rows


def _to_text(rows, columns):
    """Return the labels as they stand in a CSV file; in JSON they may be numbers."""
    return {
        line: {column: _label_text(row[column]) for column in columns}
        for line, row in rows.items()
    }


def _label_text(label):
    if isinstance(label, bool):
        return str(int(label))
    return "" if label is None else str(label)


def _find_images(csv, rows, image_column):
    folder = Path(csv).expanduser().parent
    paths = [str(folder / str(row[image_column] or "")) for row in rows.values()]
    names = [f"row {line}: {row[image_column]!r}" for line, row in rows.items()]
    missing = [i for i, path in enumerate(paths) if not Path(path).is_file()]
    if missing:
        listed = "; ".join(names[i] for i in missing[:SHOWN])
        raise FileNotFoundError(
            f"`{image_column}` must name image files, relative to {str(folder)!r}. "
            f"Received: {len(missing)} that are not there: {listed}. "
            "Correct the paths, or remove the rows."
        )
    return paths, names
