"""Views of an image that leave its meaning: mirrored, turned, shifted, enlarged."""

from keras import ops

from tftransfer.checks import check_choice

IDENTITY, AND = "identity", "+"
MARGIN = 16  # shifts go by a sixteenth of the side, `zoom` cuts off one on each side


def _flip(images):
    return ops.flip(images, axis=2)


def _flip_vertical(images):
    return ops.flip(images, axis=1)


def _transpose(images):
    return ops.transpose(images, (0, 2, 1, 3))


def _rotate180(images):
    # One axis after the other: OpenVINO does not know both at once.
    return _flip(_flip_vertical(images))


def _shift(axis, forward):
    """Move by a sixteenth; what comes in is the mirrored border."""

    def shift(images):
        size = images.shape[axis]
        step = size // MARGIN
        margins = [(0, 0)] * 4
        margins[axis] = (step, 0) if forward else (0, step)
        padded = ops.pad(images, margins, mode="symmetric")
        kept = [slice(None)] * 4
        kept[axis] = slice(0, size) if forward else slice(step, size + step)
        return padded[tuple(kept)]

    return shift


def _zoom(images):
    height, width = images.shape[1:3]
    top, left = height // MARGIN, width // MARGIN
    middle = images[:, top : height - top, left : width - left]
    pixels = ops.cast(middle, "float32")
    return ops.image.resize(pixels, (height, width), interpolation="bilinear")


VIEWS = {
    IDENTITY: lambda images: images,
    "flip": _flip,
    "flip_vertical": _flip_vertical,
    "rotate180": _rotate180,
    "rotate90": lambda images: _flip_vertical(_transpose(images)),
    "rotate270": lambda images: _flip(_transpose(images)),
    "transpose": _transpose,
    "transverse": lambda images: _rotate180(_transpose(images)),
    "shift_left": _shift(2, forward=False),
    "shift_right": _shift(2, forward=True),
    "shift_up": _shift(1, forward=False),
    "shift_down": _shift(1, forward=True),
    "zoom": _zoom,
}
COUNTS = (1, 2, 4, 8)  # that many of the first views
TURNING = {"rotate90", "rotate270", "transpose", "transverse"}


def read_views(augment):
    """Return the names of the views that are averaged, the image itself first.

    Args:
        augment: `None` or 1: the image alone. 2: and mirrored left to right
            (`"flip"`). 4: and mirrored top to bottom, and both. 8: and their quarter
            turns, all symmetries of a square. Or a name out of `VIEWS`, or a list of
            such beside the image itself; `"flip+zoom"` is one after the other.

    Returns:
        Tuple of `str`.

    Raises:
        TypeError: If `augment` is none of these.
        ValueError: If a number or name is unknown, or a name comes twice.

    Example:

    >>> read_views(2), read_views(["flip", "flip+zoom"])
    (('identity', 'flip'), ('identity', 'flip', 'flip+zoom'))
    """
    if augment is None:
        return (IDENTITY,)
    if isinstance(augment, int) and not isinstance(augment, bool):
        check_choice("augment", augment, COUNTS, "Or pass a list of names of views.")
        return tuple(VIEWS)[:augment]
    given = [augment] if isinstance(augment, str) else augment
    if not isinstance(given, (list, tuple)) or not all(
        isinstance(name, str) for name in given
    ):
        raise TypeError(
            f"`augment` must be None, one of {COUNTS} or names of views. Received: "
            f"augment={augment!r}. Pass for example augment=2, or augment=['flip']."
        )
    for name in given:
        for step in name.split(AND):
            check_choice("augment", step, VIEWS)
    names = [name for name in given if name != IDENTITY]
    if len(set(names)) < len(names):
        raise ValueError(
            f"`augment` must name each view once. Received: augment={augment!r}. "
            "Leave the second one out."
        )
    return (IDENTITY, *names)


def check_views(names, shape):
    """Raise `ValueError` unless a batch of this shape can be seen in these views.

    Args:
        names: What `read_views` returned.
        shape: Of a batch as the network sees it, `None` where a size is not known.
    """
    if names == (IDENTITY,):
        return
    if len(shape) != 4:
        raise ValueError(
            "`augment` must be None for a model that does not take images of shape "
            f"(batch, height, width, channels). Received: augment={list(names[1:])} "
            f"for inputs of shape {tuple(shape)}. Leave it out."
        )
    height, width = shape[1:3]
    turning = [name for name in names if TURNING & set(name.split(AND))]
    if turning and None not in (height, width) and height != width:
        raise ValueError(
            f"`augment` must hold no quarter turns for images of {height} x {width} "
            f"pixels, which are no squares. Received: {', '.join(turning)}. Pass "
            "augment=4 for both mirrors, or names without turns."
        )


def view_images(images, name):
    """Return images in one view.

    Args:
        images: Tensor or array `(batch, height, width, channels)`, any numeric dtype;
            for shifts and `zoom` of known height and width.
        name: One of `VIEWS`, or several joined by `"+"`.

    Returns:
        Tensor of the same shape; float32 after `zoom`.

    Example:

    >>> view_images(np.array([[[[1], [2]]]]), "flip").numpy().ravel().tolist()
    [2, 1]
    """
    for step in name.split(AND):
        images = VIEWS[step](images)
    return images
