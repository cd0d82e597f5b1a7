"""Tables (CSV) of image paths and labels."""

import csv as csv_format
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


def load_table(
    csv,
    image_column,
    label_columns,
    *,
    image_size,
    batch_size=32,
    validation_fraction=0.2,
    task=None,
    class_names=None,
    seed=0,
    on_corrupt="error",
    augment=(),
    crop=False,
):
    """Load images named in a CSV file with a header row.

    One column of names or whole numbers is classification, several columns of 0 and
    1 are multi-label, and numbers with `task="regression"` are values to predict.
    Missing files, empty or unusable labels are named with their row before anything
    is trained; rows are counted as an editor counts lines, so the first below the
    header is row 2.

    Args:
        csv: Path of the file, UTF-8, comma separated.
        image_column: Name of the column with image paths, absolute or relative to
            the folder of `csv`.
        label_columns: Name of the label column, or a list of names.
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
        on_corrupt: `"error"` refuses files that are no whole image, `"skip"` warns,
            lists them and goes on.
        augment: Names out of `AUGMENTATIONS`, for the training images only.
        crop: Whether to cut to the aspect ratio of `image_size` instead of squeezing.

    Returns:
        List of batched datasets, train and validation, without those that have no
        images. Images are as `load_folder` gives them. Labels are int64 `(batch,)`
        for classification, else float32 `(batch, columns)`. Each has `class_names`
        (for multi-label and regression the columns) and `split_name`.

    Raises:
        FileNotFoundError: If `csv` or an image it names is not there.
        ValueError: If a column or label is missing or unusable, a file is no whole
            image, there is one class only, or an option is out of range.

    Example:

    ```python
    train, validation = tft.load_table("cells.csv", "file", "grade", image_size=224)
    train, validation = tft.load_table(
        "cells.csv", "file", ["crack", "finger"], image_size=224
    )
    ```
    """
    check_file_options(validation_fraction, on_corrupt)
    preparation = Preparation(image_size, batch_size, seed, augment, crop)
    columns = [label_columns] if isinstance(label_columns, str) else list(label_columns)
    rows = _read_rows(csv, [image_column, *columns])
    labels = read_labels(rows, columns, task, class_names)
    paths, names = _find_images(csv, rows, image_column)
    readable, sizes, hashes = find_readable(paths, names, on_corrupt=on_corrupt)
    shape = common_shape(sizes, [names[i] for i in readable], preparation)
    train, aside = split_off(labels.strata[readable], validation_fraction, seed)
    return make_file_datasets(
        {"train": readable[train], "validation": readable[aside]},
        paths,
        labels.values,
        preparation,
        shape=shape,
        class_names=labels.class_names,
        contents=hashes.tolist(),
    )


def _read_rows(csv, needed):
    path = Path(csv).expanduser()
    if not path.is_file():
        raise FileNotFoundError(
            "`csv` must be a file with a header row, one image per line. "
            f"Received: csv={str(csv)!r}, which is no file."
        )
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv_format.DictReader(file)
        rows = {}
        for row in reader:
            rows[reader.line_num] = row
        columns = list(reader.fieldnames or [])
    for name in needed:
        check_choice("column", name, columns, f"These are the columns of {path.name}.")
    if not rows:
        raise ValueError(
            "`csv` must have at least one row below the header. "
            f"Received: csv={str(csv)!r} with columns {columns} and no rows."
        )
    return rows


def _find_images(csv, rows, image_column):
    folder = Path(csv).expanduser().parent
    paths = [str(folder / (row[image_column] or "")) for row in rows.values()]
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
