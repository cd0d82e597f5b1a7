"""Pictures of what a classifier got right, and of what it got wrong with confidence."""

import numpy as np

from tftransfer.checks import check_whole_number
from tftransfer.report.canvas import (
    BLUE,
    VERMILION,
    check_figure_path,
    make_figure,
    save_figure,
    shorten,
)

COLUMNS = 4
LONGEST_NAME = 22


def plot_examples(images, predictions, path, *, class_names=None, num_examples=8):
    """Draw some right images and the most confident wrong ones to a file.

    The right ones are taken from all classes in turn. What a model gets wrong with
    confidence is often a wrong label or a kind of image that training lacks.

    Args:
        images: Images by row: array `(n, height, width, channels)`, a list, or a
            dictionary from row to image that holds at least the rows of
            `choose_examples`. Values 0..255, 1, 3 or 4 channels.
        predictions: An `Evaluation` of a classification, or `(labels, probabilities)`
            of shapes `(n,)` and `(n, num_classes)`.
        path: Image file to write or replace: PNG, PDF or SVG.
        class_names: One str for each class; None takes those of the evaluation.
        num_examples: Largest number of right and of wrong images.

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: If the images do not fit the rows or are no images, the evaluation
            is of another task, or `path` of another kind.

    Example:

    >>> import os, tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = os.path.join(folder.name, "examples.png")
    >>> plot_examples(np.full((2, 8, 8, 3), 200), ([0, 1], [[0.9, 0.1]] * 2), path)
    >>> os.path.exists(path)
    True
    >>> folder.cleanup()
    """
    check_figure_path(path)
    figure = build_examples_figure(
        images, predictions, class_names=class_names, num_examples=num_examples
    )
    save_figure(figure, path)


def choose_examples(labels, probabilities, num_examples=8):
    """Choose the rows that `plot_examples` draws.

    Args:
        labels: Integer array `(n,)`.
        probabilities: Float array `(n, num_classes)`.
        num_examples: Largest number of right and of wrong rows.

    Returns:
        Two lists of row numbers: right ones, the first of each class, then the second,
        and so on; and wrong ones, the most confident first.

    Example:

    >>> choose_examples([0, 0, 1, 1], np.array([[1, 0], [1, 0], [0, 1], [0.7, 0.3]]), 2)
    ([0, 2], [3])
    """
    check_whole_number("num_examples", num_examples)
    labels, probabilities = np.asarray(labels), np.asarray(probabilities)
    predicted = probabilities.argmax(axis=1)
    right = np.flatnonzero(predicted == labels)
    wrong = np.flatnonzero(predicted != labels)
    turn = np.zeros(len(right), int)
    for label in np.unique(labels[right]):
        same = labels[right] == label
        turn[same] = np.arange(same.sum())
    right = right[np.lexsort((labels[right], turn))]
    wrong = wrong[np.argsort(-probabilities[wrong].max(axis=1), kind="stable")]
    return right[:num_examples].tolist(), wrong[:num_examples].tolist()


def build_examples_figure(images, predictions, *, class_names=None, num_examples=8):
    """Build the figure that `plot_examples` writes.

    Args:
        images: See `plot_examples`.
        predictions: See `plot_examples`.
        class_names: See `plot_examples`.
        num_examples: See `plot_examples`.

    Returns:
        A `matplotlib.figure.Figure`.
    """
    labels, probabilities, names = _read_predictions(predictions, class_names)
    if not isinstance(images, dict) and len(images) != len(labels):
        raise ValueError(
            "`images` must be as many as the labels. "
            f"Received: {len(images)} images, {len(labels)} labels. "
            "Pass the rows that were evaluated, in the same order."
        )
    right, wrong = choose_examples(labels, probabilities, num_examples)
    pixels = read_images(images, right + wrong)
    predicted = probabilities.argmax(axis=1)
    num_right = int((predicted == labels).sum())
    num_lines = [-(-len(rows) // COLUMNS) or 0.2 for rows in (right, wrong)]
    figure = make_figure(12, 0.9 + 3.4 * sum(num_lines))
    upper, lower = figure.subfigures(2, 1, height_ratios=num_lines, hspace=0.03)
    upper.suptitle(_heading("right", right, num_right, labels), fontsize=15)
    lower.suptitle(
        _heading("wrong", wrong, len(labels) - num_right, labels), fontsize=15
    )
    for part, rows, color in ((upper, right, BLUE), (lower, wrong, VERMILION)):
        titles = [
            _caption(names, labels[row], predicted[row], probabilities[row])
            for row in rows
        ]
        _draw_tiles(part, [pixels[row] for row in rows], titles, color)
    return figure


def _heading(kind, shown, total, labels):
    if not total:
        return f"None of {len(labels):,} is {kind}"
    order = "most confident first" if kind == "wrong" else "classes in turn"
    few = f", {len(shown)} shown" if len(shown) < total else ""
    return f"{kind.capitalize()}: {total:,} of {len(labels):,}{few}, {order}"


def _caption(names, label, predicted, probabilities):
    label_name, name = (
        shorten(names[each], LONGEST_NAME) for each in (label, predicted)
    )
    sure = f"{name}, {100 * probabilities[predicted]:.1f} %"
    if label == predicted:
        return sure
    return f"taken for {sure}\nlabel: {label_name}"


def _draw_tiles(figure, tiles, titles, color):
    panels = figure.subplots(max(1, -(-len(tiles) // COLUMNS)), COLUMNS, squeeze=False)
    for panel in panels.flat:
        panel.axis("off")
    for panel, tile, title in zip(panels.flat, tiles, titles, strict=False):
        panel.axis("on")
        panel.imshow(tile, cmap="gray", vmin=0, vmax=255)
        panel.set_title(title, fontsize=12, parse_math=False)
        panel.set_xticks([])
        panel.set_yticks([])
        for spine in panel.spines.values():
            spine.set(color=color, linewidth=2.5)


def _read_predictions(predictions, class_names):
    task = getattr(predictions, "task", "classification")
    if task != "classification":
        raise ValueError(
            "`predictions` must be of a classification. "
            f"Received: task={task!r}. Right and wrong have no meaning for other tasks."
        )
    if isinstance(predictions, tuple):
        labels, probabilities = map(np.asarray, predictions)
        names = class_names or [str(k) for k in range(probabilities.shape[-1])]
    else:
        labels, probabilities = predictions.labels, predictions.probabilities
        names = class_names or predictions.class_names
    if labels.ndim != 1 or probabilities.shape != (len(labels), len(names)):
        raise ValueError(
            "`predictions` must be labels (n,) and probabilities (n, num_classes), "
            f"with a name for each class. Received: labels.shape={labels.shape}, "
            f"probabilities.shape={probabilities.shape}, {len(names)} class names. "
            "Pass the Evaluation itself."
        )
    return labels, probabilities, names


def read_images(images, rows):
    """Return some images as what matplotlib draws, by row.

    Args:
        images: See `plot_examples`.
        rows: List of row numbers.

    Returns:
        Dictionary from row to uint8 array `(height, width)` or `(height, width, 3)`.

    Raises:
        ValueError: If a row is missing, is no image or holds values in 0..1.
    """
    missing = [row for row in rows if isinstance(images, dict) and row not in images]
    if missing:
        raise ValueError(
            "`images` must hold every row that is drawn. "
            f"Received: no image for rows {missing}. Pass those of choose_examples."
        )
    chosen = {row: np.asarray(images[row]) for row in rows}
    for row, image in chosen.items():
        if image.ndim != 3 or image.shape[-1] not in (1, 3, 4):
            raise ValueError(
                "`images` must have shape (height, width, channels), channels 1, 3 or "
                f"4. Received: shape {image.shape} in row {row}. Show three channels."
            )
    scaled = [i.dtype.kind == "f" and i.max() <= 1 for i in chosen.values()]
    if scaled and all(scaled):
        raise ValueError(
            "`images` must have values 0..255. Received: no value above 1. "
            "Pass raw pixels, or multiply by 255."
        )
    return {row: _as_pixels(image) for row, image in chosen.items()}


def _as_pixels(image):
    pixels = np.clip(np.round(image), 0, 255).astype("uint8")
    return pixels[..., 0] if pixels.shape[-1] == 1 else pixels[..., :3]
