"""What each family of `keras.applications` does to pixels, as layers."""

import sys

import keras
import numpy as np

from tftransfer.backbones.widening import widen_statistics

IMAGENET_MEAN = (0.485, 0.456, 0.406)  # red, green, blue, of pixels in 0..1
IMAGENET_STDDEV = (0.229, 0.224, 0.225)
_CAFFE_MEAN = [103.939, 116.779, 123.68]  # blue, green, red, of pixels in 0..255
_MODES = ("caffe", "tf", "torch")


def preprocessing_mode(name):
    """Find out how a network of `keras.applications` wants its pixels.

    Args:
        name: Name of a constructor in `keras.applications`.

    Returns:
        `"caffe"`, `"tf"` or `"torch"` as in `keras.applications.imagenet_utils`, or
        `"included"` where preprocessing is part of the network.

    Raises:
        ValueError: If its `preprocess_input` does none of these.

    Example:

    >>> preprocessing_mode("MobileNetV2")
    'tf'
    """
    family = sys.modules[getattr(keras.applications, name).__module__]
    pixels = np.linspace(0.0, 255.0, 12, dtype="float32").reshape(1, 2, 2, 3)
    result = family.preprocess_input(pixels.copy())
    if np.array_equal(result, pixels):
        return "included"
    for mode in _MODES:
        standard = keras.applications.imagenet_utils.preprocess_input
        if np.allclose(result, standard(pixels.copy(), mode=mode), atol=1e-4):
            return mode
    raise ValueError(
        f"`name` must be a network whose preprocessing is one of {list(_MODES)} or "
        f"part of the network. Received: name={name!r}, whose preprocess_input does "
        "something else. Build it yourself and pass the keras.Model."
    )


def preprocess_pixels(x, mode, in_channels):
    """Apply the preprocessing of a mode as stock Keras layers, always in float32.

    Channels other than three take the statistics of red, green, blue, red, ... (grey:
    their mean), and keep their order also in mode `"caffe"`, where colors are reversed:
    there the first kernel has to be reversed instead.

    Args:
        x: Keras tensor `(batch, height, width, in_channels)`, values 0..255.
        mode: What `preprocessing_mode` returned.
        in_channels: Number of channels, at least 1.

    Returns:
        Keras tensor of the same shape; the last layer is named `preprocessing`.

    Example:

    >>> pixels = keras.Input((1, 1, 3))
    >>> model = keras.Model(pixels, preprocess_pixels(pixels, "tf", 3))
    >>> model(np.full((1, 1, 1, 3), 255.0)).numpy().ravel()
    array([1., 1., 1.], dtype=float32)
    """
    if mode == "included":
        return x
    if mode == "tf":
        return keras.layers.Rescaling(
            1 / 127.5, -1.0, dtype="float32", name="preprocessing"
        )(x)
    mean = [255 * value for value in IMAGENET_MEAN]
    variance = [(255 * value) ** 2 for value in IMAGENET_STDDEV]
    if mode == "caffe":
        mean, variance = _CAFFE_MEAN, [1.0, 1.0, 1.0]
        if in_channels == 3:
            x = keras.ops.flip(x, axis=-1)
        else:
            mean = mean[::-1]
    return keras.layers.Normalization(
        mean=widen_statistics(mean, in_channels),
        variance=widen_statistics(variance, in_channels),
        dtype="float32",
        name="preprocessing",
    )(x)
