"""The one way to change an image's size, for loaders, models and exports alike."""

import keras

from tftransfer.checks import check_choice, check_image_size

INTERPOLATIONS = ("area", "bicubic", "bilinear", "lanczos3", "lanczos5", "nearest")


def build_resizing(
    image_size, *, interpolation="bilinear", crop=False, name="resizing"
):
    """Build the `Resizing` layer that loaders, models and exports share.

    Images are filtered before they shrink (`antialias`), so that a large
    photograph does not turn into noise. At the right size pixels stay as they are
    (after lanczos to within 1e-4).

    In a functional model call the layer with `training=False`: Keras' resizing takes
    itself to be training where nobody says, and every layer behind it would follow,
    dropout and BatchNormalization too. What `fit` says still counts.

    Args:
        image_size: `(height, width)` in pixels, or an `int` for a square.
        interpolation: One of `INTERPOLATIONS`.
        crop: Whether to cut the longer side to the aspect ratio of `image_size`
            first; otherwise the image is squeezed.
        name: Name of the layer.

    Returns:
        A `keras.layers.Resizing` for images of shape `(height, width, channels)` or
        `(batch, height, width, channels)`, any numeric dtype; the result is
        float32 for float input. Cast integer images first
        (`resize_images` does): Keras would round the result back to integers.

    Raises:
        ValueError: If `image_size` or `interpolation` is not acceptable.

    Example:

    >>> tuple(build_resizing((2, 2))(np.zeros((1, 4, 6, 3))).shape)
    (1, 2, 2, 3)
    """
    height, width = check_image_size("image_size", image_size)
    check_choice("interpolation", interpolation, INTERPOLATIONS)
    layer = keras.layers.Resizing(
        height,
        width,
        interpolation=interpolation,
        crop_to_aspect_ratio=crop,
        antialias=interpolation in ("bilinear", "bicubic", "lanczos3", "lanczos5"),
        dtype="float32",
        name=name,
    )
    if keras.backend.backend() == "tensorflow":
        # TensorFlow's XLA cannot filter images; without this `compile` would ask for
        # XLA wherever there is a GPU, and `fit` would fail.
        layer.supports_jit = False
    return layer


def resize_images(images, resizing):
    """Resize images of any numeric dtype to unrounded float32 pixels.

    Args:
        images: Tensor `(height, width, channels)` or
            `(batch, height, width, channels)`, any numeric dtype, values 0..255.
        resizing: Layer made by `build_resizing`.

    Returns:
        float32 tensor of the same rank, in the same value range.

    Example:

    >>> pixels = np.array([[[0], [255]]], "uint8")
    >>> float(resize_images(pixels, build_resizing((1, 1)))[0, 0, 0])
    127.5
    """
    return resizing(keras.ops.cast(images, "float32"))


def find_resizing(model):
    """Find the `Resizing` that a functional or Sequential model begins with.

    Args:
        model: A `keras.Model` with a graph; a nested first model is entered.

    Returns:
        `keras.layers.Resizing`, or `None`.

    Example:

    >>> layers = [keras.Input((None, None, 3)), build_resizing((4, 6))]
    >>> find_resizing(keras.Sequential(layers)).width
    6
    """
    layers = [
        layer
        for layer in model.layers
        if not isinstance(layer, keras.layers.InputLayer)
    ]
    if layers and isinstance(layers[0], keras.Model):
        return find_resizing(layers[0])
    if layers and isinstance(layers[0], keras.layers.Resizing):
        return layers[0]
    return None
