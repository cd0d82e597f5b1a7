"""The forms in which networks take pixels, and lines that turn one into another."""

import dataclasses
from collections.abc import Callable

import numpy as np

_MEAN = np.array([123.675, 116.28, 103.53])  # of ImageNet in red, green, blue
_STDDEV = np.array([58.395, 57.12, 57.375])
_CAFFE = np.array([103.939, 116.779, 123.68])  # in blue, green, red


@dataclasses.dataclass(frozen=True)
class PixelForm:
    """A way to write pixels 0..255.

    Attributes:
        name: What it is called, with its range.
        make: Function from pixels 0..255 to the form.
        undo: Function from the form to pixels 0..255.
        making: The line that makes it of `{}`.
        undoing: The line that undoes it of `x`.
    """

    name: str
    make: Callable
    undo: Callable
    making: str
    undoing: str


_TORCH = 'keras.applications.imagenet_utils.preprocess_input({}, mode="torch")'
_CAFFE_LINE = "keras.applications.imagenet_utils.preprocess_input({})"
FORMS = (
    PixelForm("0..255", lambda p: p, lambda x: x, "{}", "x"),
    PixelForm("0..1", lambda p: p / 255, lambda x: x * 255, "{} / 255", "x * 255"),
    PixelForm(
        "-1..1",
        lambda p: p / 127.5 - 1,
        lambda x: (x + 1) * 127.5,
        "{} / 127.5 - 1",
        "(x + 1) * 127.5",
    ),
    PixelForm(
        "0..1, scaled twice",
        lambda p: p / 255**2,
        lambda x: x * 255**2,
        "{} / 255 / 255",
        "x * 255 * 255",
    ),
    PixelForm(
        "-1..1, scaled twice",
        lambda p: (p / 127.5 - 1) / 127.5 - 1,
        lambda x: ((x + 1) * 127.5 + 1) * 127.5,
        "({} / 127.5 - 1) / 127.5 - 1",
        "((x + 1) * 127.5 + 1) * 127.5",
    ),
)
COLOR_FORMS = (
    *FORMS,
    PixelForm(
        "standardized by ImageNet",
        lambda p: (p - _MEAN) / _STDDEV,
        lambda x: x * _STDDEV + _MEAN,
        _TORCH,
        "x * [58.4, 57.1, 57.4] + [123.7, 116.3, 103.5]",
    ),
    PixelForm(
        "blue-green-red less ImageNet's mean",
        lambda p: p[..., ::-1] - _CAFFE,
        lambda x: (x + _CAFFE)[..., ::-1],
        _CAFFE_LINE,
        "(x + [103.9, 116.8, 123.7])[..., ::-1]",
    ),
)


def guess_form(images):
    """Guess in which form pixels are, from their range.

    Of the forms in which they would be pixels within 0..255 it is the one in which they
    would have most contrast.

    Args:
        images: Array `(n, height, width, channels)`.

    Returns:
        `PixelForm`, and the array of pixels 0..255; `(None, None)` where none fits.
    """
    best, found = None, None
    for form in COLOR_FORMS if images.shape[-1] == 3 else FORMS:
        pixels = form.undo(images.astype("float64"))
        if pixels.min() < -1 or pixels.max() > 256:
            continue
        if found is None or pixels.std() > found.std():
            best, found = form, pixels
    return best, found


def conversion(form, other):
    """Return the line that turns `x` of one form into another."""
    return other.making.format(_in_brackets(form.undoing))


def _in_brackets(line):
    return line if line == "x" else f"({line})"
