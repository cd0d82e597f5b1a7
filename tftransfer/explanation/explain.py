"""Heat maps of images: where a model finds the class it names."""

import dataclasses

import keras
import numpy as np

from tftransfer.checks import check_whole_number
from tftransfer.explanation.explainer import build_explainer
from tftransfer.explanation.maps import resize_heat, seen_box, to_heat


@dataclasses.dataclass(frozen=True, eq=False)
class Explanation:
    """Heat maps of some images, made by `explain`.

    `tft.plot_heat_maps(images, explanation, path)` draws them.

    Attributes:
        heat_maps: float32 array `(n, height, width)` of the images' size, 0..1: 1 where
            most speaks for the class, 0 where nothing does or something speaks against;
            a list of arrays where images of an export differ in size.
        classes: Integer array `(n,)`, the classes explained.
        method: `"cam"` or `"grad_cam"`.
        maps: float32 array `(n, map_height, map_width)`, the evidence itself at the
            size of the feature map; below 0 stands evidence against the class.
    """

    heat_maps: np.ndarray | list
    classes: np.ndarray
    method: str
    maps: np.ndarray


def explain(model, images, classes=None, *, method="auto", task=None, batch_size=32):
    """Show where in each image a model finds a class.

    Where global average pooling and one dense layer end the network, the map is exact:
    its mean is the logit without the bias (CAM). Elsewhere it is weighed by gradients
    (Grad-CAM). Both are as coarse as the last feature map, 7 x 7 for most networks at
    224 pixels, and say where the evidence lies, not what it is.

    Args:
        model: Functional or Sequential `keras.Model` for images, or a wrapper such as
            `tft.AlignedModel`; a backbone may be a layer of it.
        images: Array `(n, height, width, channels)`, as the model takes them. What a
            `Resizing` layer in the model crops is cold; other cropping is not undone.
        classes: Class to explain: one for all, one for each image, or `None` for the
            class predicted (of several labels the likeliest). For one logit 0 or 1; for
            a regression the number of the value, and the map tells what raises it.
        method: `"auto"`, `"cam"` or `"grad_cam"`.
        task: One of `tasks.TASKS` where the model's loss does not tell.
        batch_size: Images computed at once.

    Returns:
        An `Explanation`.

    Raises:
        ValueError: If the model takes no images or has no feature map, `"cam"` does
            not apply, or images or classes do not fit.
        TypeError: If the model is none.

    Example:

    >>> model = tft.build_transfer_model(
    ...     tft.load_backbone("keras:MobileNetV2", alpha=0.35, weights=None),
    ...     num_classes=10,
    ...     image_size=(64, 64),
    ... )
    >>> images = np.random.default_rng(0).integers(0, 256, (2, 48, 80, 3), "uint8")
    >>> found = explain(model, images)
    >>> found.method, found.heat_maps.shape, found.maps.shape
    ('cam', (2, 48, 80), (2, 2, 2))

    Reference:
        [Zhou et al., 2016](https://arxiv.org/abs/1512.04150), equation 2;
        [Selvaraju et al., 2017](https://arxiv.org/abs/1610.02391), equations 1 and 2.
    """
    check_whole_number("batch_size", batch_size)
    explainer = build_explainer(model, method=method, task=task)
    images = _read_images(images, explainer.cut.model.inputs[0])
    classes = read_classes(classes, len(images), explainer.task)
    size = tuple(images.shape[1:3])
    box = seen_box(size, _first_resizing(explainer.cut))
    parts = []
    for start in range(0, len(images), batch_size):
        rows = slice(start, start + batch_size)
        found = explainer(images[rows], None if classes is None else classes[rows])
        heat = resize_heat(to_heat(found[0]), box, size)
        parts.append([keras.ops.convert_to_numpy(each) for each in (*found, heat)])
    maps, chosen, heat_maps = (
        np.concatenate(part) for part in zip(*parts, strict=True)
    )
    return Explanation(heat_maps, chosen.astype(int), explainer.method, maps)


def _first_resizing(cut):
    operations = (call.operation for call in cut.calls_below)
    found = (each for each in operations if isinstance(each, keras.layers.Resizing))
    return next(found, None)


def _read_images(images, taken):
    images = np.asarray(images)
    wanted = tuple(taken.shape)
    fits = images.ndim == 4 and len(images) > 0 and images.dtype.kind in "uifb"
    fits = fits and all(
        side in (None, given)
        for side, given in zip(wanted[1:], images.shape[1:], strict=True)
    )
    if not fits:
        raise ValueError(
            f"`images` must be numbers of shape {wanted}, at least one image. "
            f"Received: images of shape {images.shape}, dtype {images.dtype}. "
            "Pass one image as images[None]; images of other sizes one after the other."
        )
    return images


def read_classes(classes, num_images, task):
    """Return the classes to explain, `(num_images,)`; `None` for those predicted.

    Raises:
        ValueError: If they are no class numbers, or there are none for a regression of
            several values.
    """
    if classes is None:
        if task.name == "regression" and task.num_outputs > 1:
            raise ValueError(
                "`classes` must be given for a regression of several values. "
                f"Received: classes=None for {task.num_outputs} values. Pass the "
                "number of the value, such as classes=0."
            )
        return None
    numbers = np.asarray(classes)
    fits = numbers.shape in ((), (num_images,)) and numbers.dtype.kind in "ui"
    if not fits or (numbers < 0).any() or (numbers >= task.num_classes).any():
        raise ValueError(
            f"`classes` must be whole numbers in 0..{task.num_classes - 1}, one, or "
            f"one for each of {num_images} images. Received: classes={classes!r}. "
            "Leave it out for the classes predicted."
        )
    return np.broadcast_to(numbers, (num_images,))
