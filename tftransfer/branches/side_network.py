"""A small network that learns beside a frozen backbone, added to its features."""

import keras

from tftransfer.branches.rewiring import check_flat, rewire
from tftransfer.checks import check_whole_number
from tftransfer.freezing.blocks import FEATURE_SUM, FEATURES
from tftransfer.freezing.depth import set_trainable_depth


def add_side_network(model, widths=(16, 32, 64)):
    """Freeze a backbone and let a small network beside it learn what it lacks.

    The network sees the images as the backbone does, resized but not preprocessed;
    what it makes is added to the features and is zero at first, so that the model
    gives what it gave before. It counts to the head: it learns at any
    `trainable_depth`, from the random weights it starts with.

    The fast path cannot help: the network needs the images in each epoch.

    Args:
        model: Flat functional model of images, as `build_transfer_model` makes it
            without alignment. Its layers are shared, so train one of the two.
        widths: Tuple of the channels of its convolutions, each of which halves the
            map; or a Keras layer, or function, from images of 0..255 to `(batch, n)`
            or maps.

    Returns:
        A new functional model, compiled as `model` is; plain Keras layers.

    Raises:
        ValueError: If the model takes no images, is nested, has no pooled layer named
            `features`, or has a side network already; or `widths` is out of range.
        TypeError: If an argument has the wrong type.

    Example:

    >>> model = tft.build_transfer_model(
    ...     tft.load_backbone("keras:MobileNetV2", alpha=0.35, weights=None),
    ...     num_classes=10, image_size=(32, 32),
    ... )
    >>> wider = tft.add_side_network(model, widths=(4, 8))
    >>> images = np.ones((2, 32, 32, 3), "float32")
    >>> bool(np.allclose(wider(images), model(images)))
    True

    Reference:
        Side-tuning, [Zhang et al., 2020](https://arxiv.org/abs/1912.13503), equation 2
        with both parts added.
    """
    _check_widths(widths)
    advice = "Build it without alignment, and give the result to AlignedModel."
    check_flat(model, advice)
    _check_images(model)
    made: dict = {}

    def call(layer, *args, **kwargs):
        outputs = layer(*args, **kwargs)
        if layer.name == "resizing":
            made["images"] = outputs
        if layer.name != FEATURES:
            return outputs
        side = _run_side(made.get("images", model.input), widths)
        width = outputs.shape[-1]
        zeros = keras.layers.Dense(width, kernel_initializer="zeros", name="side")
        return keras.layers.Add(name=FEATURE_SUM)([outputs, zeros(side)])

    wider = rewire(model, call)
    set_trainable_depth(wider, 0)
    return wider


def has_side_network(model):
    """Whether `add_side_network` made this model."""
    return any(layer.name == FEATURE_SUM for layer in model._flatten_layers())


def _run_side(images, widths):
    if callable(widths):
        x = widths(images)
    else:
        x = keras.layers.Rescaling(1 / 127.5, -1, name="side_rescaling")(images)
        for place, width in enumerate(widths, 1):
            x = keras.layers.Conv2D(
                *(width, 3, 2, "same"), use_bias=False, name=f"side_conv{place}"
            )(x)
            x = keras.layers.BatchNormalization(name=f"side_bn{place}")(x)
            x = keras.layers.ReLU(name=f"side_relu{place}")(x)
    if len(x.shape) == 4:
        x = keras.layers.GlobalAveragePooling2D(name="side_pooling")(x)
    return x


def _check_widths(widths):
    if callable(widths):
        return
    if not isinstance(widths, (tuple, list)) or not widths:
        raise TypeError(
            "`widths` must be a tuple of whole numbers, a Keras layer or a function. "
            f"Received: widths={widths!r}. Pass for example widths=(16, 32, 64)."
        )
    for width in widths:
        check_whole_number("widths", width)


def _check_images(model):
    shape = model.input_shape
    features = model.get_layer(FEATURES).output.shape
    is_image = isinstance(shape, tuple) and len(shape) == 4
    if not is_image or len(features) != 2:
        raise ValueError(
            "`model` must take images and have pooled features. Received: inputs "
            f"{shape}, features {tuple(features)}. For texts use "
            "add_residual_adapters or add_lora."
        )
    if has_side_network(model):
        raise ValueError(
            "`model` must have no side network yet. Received: "
            f"{model.name!r} with one. Train it as it is."
        )
