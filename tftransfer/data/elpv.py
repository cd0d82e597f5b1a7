"""ELPV: 2,624 electroluminescence images of solar cells, functional or defective."""

import importlib.util
from pathlib import Path

import numpy as np

from tftransfer.checks import check_choice, check_number
from tftransfer.data.files import make_file_datasets, split_off
from tftransfer.data.fingerprints import describe_files
from tftransfer.data.pipelines import Preparation
from tftransfer.data.splits import split_indices

ELPV_LICENSE = (
    "ELPV dataset (Buerhop-Lutz et al., 2018), CC BY-NC-SA 4.0: "
    "for non-commercial use, with attribution, shared alike"
)
CLASS_NAMES = ("functional", "defective")
TEST_FRACTION = 0.25
SHAPE = (300, 300, 1)


def load_elpv(
    seed=0,
    *,
    image_size=None,
    batch_size=32,
    validation_fraction=0.0,
    wafer=None,
    label="binary",
    augment=(),
    crop=False,
    interpolation="bilinear",
    cache=False,
):
    """Load the solar cells of the pip package `elpv-dataset`, split 75 to 25.

    The split keeps the shares of all eight strata, defect probability (0, 1/3, 2/3,
    1) times wafer type, as in the publication; the test cells depend on `seed` alone,
    not on the other options. License of the images: CC BY-NC-SA 4.0 (`ELPV_LICENSE`).

    Args:
        seed: Whole number >= 0, for the split, the order and the augmentation.
        image_size: `(height, width)`, an `int` for a square, the model's own
            `Resizing` layer, or None for the native 300 by 300 pixels.
        batch_size: Number of images in a batch.
        validation_fraction: Share of the training cells to set aside, in 0..1
            without 1, stratified in the same way.
        wafer: `"mono"` or `"poly"` for one wafer type only (two domains), None for
            both.
        label: `"binary"`: 1 where the probability of a defect is above one half;
            `"probability"`: that probability, to be learned with one logit.
        augment: Names out of `AUGMENTATIONS`, for the training cells only.
        crop: Whether to cut to the aspect ratio of `image_size` instead of squeezing.
        interpolation: One of `tftransfer.resizing.INTERPOLATIONS`.
        cache: Whether to keep decoded images in memory after the first epoch.

    Returns:
        Batched datasets `(train, test)`, or `(train, validation, test)` where
        `validation_fraction` is above 0. Images are grey, repeated to three channels:
        uint8 `(batch, 300, 300, 3)`, or float32 where they are resized. Labels are
        int64 `(batch,)`, or float32 `(batch, 1)` probabilities. Each has
        `class_names` and `license`.

    Raises:
        ImportError: If the package `elpv-dataset` is not installed.
        TypeError: If an option has the wrong type.
        ValueError: If an option is out of range.

    Example:

    ```python
    train, test = tft.load_elpv(seed=0, image_size=(224, 224))
    source, _ = tft.load_elpv(wafer="mono", image_size=(224, 224))
    ```

    Reference:
        [Deitsch et al., 2019](https://doi.org/10.1016/j.solener.2019.02.067),
        section 4.1.
    """
    check_number("validation_fraction", validation_fraction, 0, 0.9)
    check_choice("label", label, ("binary", "probability"))
    preparation = Preparation(
        image_size, batch_size, seed, augment, crop, interpolation, cache
    )
    if wafer is not None:
        check_choice("wafer", wafer, ("mono", "poly"), "None takes both.")
    paths, probabilities, wafers = read_elpv()
    parts = split_elpv(probabilities, wafers, validation_fraction, seed)
    kept = (wafers == wafer) | (wafer is None)
    datasets = make_file_datasets(
        {name: part[kept[part]] for name, part in parts.items()},
        paths,
        _to_labels(probabilities, label),
        preparation,
        shape=SHAPE,
        class_names=CLASS_NAMES,
        contents=describe_files(paths),
        gray=True,
    )
    for dataset in datasets:
        dataset.license = ELPV_LICENSE
    return tuple(datasets)


def read_elpv():
    """Return paths (list), defect probabilities `(2624,)` and wafer types `(2624,)`.

    Raises:
        ImportError: If the package `elpv-dataset` is not installed.
    """
    package = importlib.util.find_spec("elpv_dataset")
    if package is None or package.origin is None:
        raise ImportError(
            "The solar cells come with the package elpv-dataset, which is not "
            'installed. Run: pip install "tftransfer[demo]"'
        )
    folder = Path(package.origin).parent / "data"
    rows = [line.split() for line in (folder / "labels.csv").read_text().splitlines()]
    paths, probabilities, wafers = zip(*filter(None, rows), strict=True)
    return (
        [str(folder / path) for path in paths],
        np.array(probabilities, "float64"),
        np.array(wafers),
    )


def split_elpv(probabilities, wafers, validation_fraction=0.0, seed=0):
    """Split cell indices by the published protocol.

    Args:
        probabilities: Float array `(n,)`, probability of a defect.
        wafers: Array `(n,)` of `str`, `"mono"` or `"poly"`.
        validation_fraction: Share of the training cells to set aside, in 0..1.
        seed: Whole number >= 0.

    Returns:
        Dictionary of sorted index arrays: `train`, `validation` (may be empty) and
        `test`, a quarter of all.

    Example:

    >>> _, probabilities, wafers = read_elpv()
    >>> {name: len(part) for name, part in split_elpv(probabilities, wafers).items()}
    {'train': 1968, 'validation': 0, 'test': 656}
    """
    strata = np.array(
        [f"{p:.2f} {w}" for p, w in zip(probabilities, wafers, strict=True)]
    )
    train, test = split_indices(strata, (1 - TEST_FRACTION, TEST_FRACTION), seed=seed)
    kept, aside = split_off(strata[train], validation_fraction, seed)
    return {"train": train[kept], "validation": train[aside], "test": test}


def _to_labels(probabilities, label):
    if label == "probability":
        return probabilities.astype("float32")[:, None]
    return (probabilities > 0.5).astype("int64")
