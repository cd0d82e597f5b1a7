"""Images with what a model looked at laid over them."""

import numpy as np

from tftransfer.checks import check_whole_number
from tftransfer.report.canvas import (
    check_figure_path,
    make_figure,
    save_figure,
    shorten,
)
from tftransfer.report.examples import read_images

PAIRS = 3  # an image and its heat map, side by side
COLORS = "inferno"
STRONGEST = 0.75  # share of the color where the heat is 1
LONGEST_NAME = 40
LUMA = np.array([0.299, 0.587, 0.114])  # of red, green and blue, as in JPEG


def plot_heat_maps(
    images, explanation, path, *, class_names=None, captions=None, num_examples=9
):
    """Draw images beside the same with heat laid over, to a file.

    Args:
        images: The images that were explained, by row, values 0..255: see
            `plot_examples`.
        explanation: `Explanation` of `tft.explain` or of an export's `explain`.
        path: Image file to write or replace: PNG, PDF or SVG.
        class_names: One str for each class; `None` writes numbers.
        captions: One str for each image, instead of the class explained.
        num_examples: Largest number of images; the first ones are drawn.

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: If images or captions do not fit the heat maps, a name is missing,
            or `path` is of another kind.

    Example:

    >>> import os, tempfile, types
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = os.path.join(folder.name, "heat_maps.png")
    >>> found = types.SimpleNamespace(heat_maps=np.eye(8)[None], classes=[1])
    >>> plot_heat_maps(np.full((1, 8, 8, 3), 200), found, path, class_names=["a", "b"])
    >>> os.path.exists(path)
    True
    >>> folder.cleanup()
    """
    check_figure_path(path)
    figure = build_heat_map_figure(
        images,
        explanation,
        class_names=class_names,
        captions=captions,
        num_examples=num_examples,
    )
    save_figure(figure, path)


def build_heat_map_figure(
    images, explanation, *, class_names=None, captions=None, num_examples=9
):
    """Build the figure that `plot_heat_maps` writes.

    Args:
        images: See `plot_heat_maps`.
        explanation: See `plot_heat_maps`.
        class_names: See `plot_heat_maps`.
        captions: See `plot_heat_maps`.
        num_examples: See `plot_heat_maps`.

    Returns:
        A `matplotlib.figure.Figure`.
    """
    check_whole_number("num_examples", num_examples)
    heat_maps = [np.asarray(each) for each in explanation.heat_maps]
    _check_count("images", len(images), len(heat_maps))
    captions = _read_captions(captions, explanation.classes, class_names)
    _check_count("captions", len(captions), len(heat_maps))
    rows = range(min(num_examples, len(heat_maps)))
    pixels = read_images(images, rows)
    num_lines = -(-len(rows) // PAIRS)
    num_pairs = min(PAIRS, len(rows))
    tallest = max(heat_maps[row].shape[0] / heat_maps[row].shape[1] for row in rows)
    tile = np.clip(1.75 * tallest, 0.5, 4)  # of an image 1.75 inches wide
    figure = make_figure(4 * num_pairs, 0.1 + (0.6 + tile) * num_lines)
    cells = figure.subfigures(num_lines, num_pairs, squeeze=False)
    for row, cell in zip(rows, cells.flat, strict=False):
        _check_size(row, pixels[row], heat_maps[row])
        plain, heated = cell.subplots(1, 2)
        cell.suptitle(
            shorten(captions[row], LONGEST_NAME), fontsize=12, parse_math=False
        )
        for panel, under in ((plain, pixels[row]), (heated, _grey(pixels[row]))):
            panel.imshow(under, cmap="gray", vmin=0, vmax=255)
            panel.axis("off")
        heated.imshow(
            heat_maps[row],
            cmap=COLORS,
            vmin=0,
            vmax=1,
            alpha=STRONGEST * np.sqrt(heat_maps[row]),
        )
    return figure


def _grey(pixels):
    """Return an image without its colors, which heat could be taken for."""
    return pixels if pixels.ndim == 2 else pixels @ LUMA


def _read_captions(captions, classes, class_names):
    if captions is not None:
        return captions
    classes = np.asarray(classes)
    if class_names is None:
        return [f"class {number}" for number in classes]
    if classes.max() >= len(class_names):
        raise ValueError(
            f"`class_names` must name class {classes.max()} too. "
            f"Received: {len(class_names)} names. Pass those of the dataset."
        )
    return [class_names[number] for number in classes]


def _check_count(name, count, wanted):
    if count != wanted:
        raise ValueError(
            f"`{name}` must be {wanted}, one for each heat map. "
            f"Received: {count} {name}. Pass those that were explained, in their order."
        )


def _check_size(row, pixels, heat_map):
    if pixels.shape[:2] != heat_map.shape:
        raise ValueError(
            f"`images` must be of the size of the heat maps, {heat_map.shape}. "
            f"Received: shape {pixels.shape} in row {row}. Pass the images that were "
            "explained."
        )
