"""Every network of `keras.applications`, from raw pixels to pooled features."""

import contextlib
import functools
import inspect
import re
import socket
import warnings

import keras
import numpy as np

from tftransfer.backbones.applications_table import (
    APPLICATIONS,
    Application,
    application_weights_path,
    describe_application,
    list_applications,
)
from tftransfer.backbones.preprocessing import (
    IMAGENET_STDDEV,
    preprocess_pixels,
    preprocessing_mode,
)
from tftransfer.backbones.weight_files import check_weights, load_weights_file
from tftransfer.backbones.widening import copy_weights_widened, widen_statistics
from tftransfer.checks import (
    check_choice,
    check_image_size,
    check_number,
    check_whole_number,
)
from tftransfer.resizing import build_resizing

__all__ = [
    "APPLICATIONS",
    "Application",
    "application_weights_path",
    "build_application",
    "describe_application",
    "list_applications",
]

_DOWNLOAD_TIMEOUT_S = 20.0
# Arguments of the constructors that this module sets, or that change only the top.
_NOT_OPTIONS = {
    "classes",
    "classifier_activation",
    "dropout",
    "dropout_rate",
    "include_preprocessing",
    "include_top",
    "input_shape",
    "input_tensor",
    "name",
    "pooling",
    "weights",
}


def build_application(
    name,
    *,
    image_size=None,
    weights="imagenet",
    in_channels=3,
    interpolation="bilinear",
    crop=False,
    **options,
):
    """Build a network of `keras.applications` that takes raw pixels.

    Resizing and the preprocessing this family was trained with are layers of the
    model, so pixels go in as they are. The features are those of the Keras network
    with `include_top=False, pooling="avg"` on preprocessed images.

    Channels other than three take a widened first kernel (`widen_first_kernel`) and
    the preprocessing statistics of red, green, blue, red, ... in that order; grey takes
    their mean.

    Args:
        name: One of `list_applications()`.
        image_size: `(height, width)` in pixels the images are resized to; `None` takes
            the size of pretraining.
        weights: `"imagenet"` (from Keras' cache, else downloaded), `None` for random
            ones, or a `.weights.h5`, `.h5` or `.keras` file of this network without
            its top.
        in_channels: Channels of the images, at least 1.
        interpolation: How to resize, one of `INTERPOLATIONS`.
        crop: Whether to crop to the aspect ratio of `image_size` before resizing.
        **options: Further arguments of the constructor, such as `alpha=0.35`.

    Returns:
        A functional `keras.Model`: images `(batch, height, width, in_channels)` of any
        size and numeric dtype, values 0..255, to features `(batch, width)`. The first
        layer is named `resizing`, the last one `features`: global average pooling, or
        for ConvNeXt the normalization that follows it.

    Raises:
        ValueError: If an argument is not acceptable, the images are smaller than this
            network allows, or the file holds other weights.
        FileNotFoundError: If the ImageNet weights are neither in the cache nor can be
            downloaded.

    Example:

    >>> model = build_application("MobileNetV2", weights=None, image_size=32, alpha=0.5)
    >>> tuple(model(np.zeros((2, 48, 64, 3), "uint8")).shape)
    (2, 1280)
    """
    check_choice("name", name, list_applications())
    constructor = getattr(keras.applications, name)
    options = _check_options(name, constructor, options)
    check_weights(weights)
    check_whole_number("in_channels", in_channels)
    if image_size is None:
        image_size = describe_application(name).image_size
    image_size = check_image_size("image_size", image_size)
    resizing = build_resizing(image_size, interpolation=interpolation, crop=crop)
    mode = preprocessing_mode(name)
    build = functools.partial(_construct, name, constructor, image_size, options)
    source = _load_source(build, name, weights, image_size, options)
    model = _rebuild(source, name, resizing, mode, in_channels)
    if weights is not None:
        reverse = mode == "caffe" and in_channels != 3
        copy_weights_widened(source, model, reverse_colors=reverse)
    return model


def _check_options(name, constructor, options):
    known = sorted(set(inspect.signature(constructor).parameters) - _NOT_OPTIONS)
    for key, value in options.items():
        if key not in known:
            raise ValueError(
                f"`options` of {name} must be {f'among {known}' if known else 'none'}. "
                f"Received: {key}={value!r}. Leave it out."
            )
    if "alpha" not in options:
        return options
    check_number("alpha", options["alpha"], 0.05)
    # Keras writes alpha into a file name, where 1 and 1.0 differ.
    return {**options, "alpha": float(options["alpha"])}


def _construct(name, constructor, image_size, options, weights=None):
    with warnings.catch_warnings():
        # Any size is fine without the top; Keras warns of all but a few.
        warnings.filterwarnings("ignore", ".*is undefined or non-square.*", UserWarning)
        try:
            return constructor(
                include_top=False,
                weights=weights,
                input_shape=(*image_size, 3),
                **options,
            )
        except ValueError as error:
            minimum = re.search(r"[Ii]nput size must be at least (\d+)", str(error))
            if minimum is None:
                raise
            raise ValueError(
                f"`image_size` of {name} must be at least "
                f"{(int(minimum[1]), int(minimum[1]))}. Received: "
                f"image_size={image_size}. Small images are enlarged: leave it out for "
                f"{describe_application(name).image_size}, as in pretraining."
            ) from None


def _load_source(build, name, weights, image_size, options):
    source = build()
    if weights is None:
        return source
    given = "".join(f", {key}={value!r}" for key, value in options.items())
    network = f"keras.applications.{name}(include_top=False{given})"
    if weights != "imagenet":
        load_weights_file(source, weights, network)
    else:
        path = application_weights_path(name, image_size=image_size, **options)
        if path is not None and path.is_file():
            load_weights_file(source, path, network)
        else:
            source.set_weights(_download(build, name, path))
    _square_stddev(source)
    return source


def _download(build, name, path):
    wanted = "its weights" if path is None else f"{path.name} into {path.parent}"
    try:
        with _socket_timeout(_DOWNLOAD_TIMEOUT_S):
            return build(weights="imagenet").get_weights()
    except ValueError:  # Keras on an option without published weights, or a checksum
        raise
    except Exception as error:
        raise FileNotFoundError(
            f'`weights="imagenet"` of {name} must be in Keras\' cache or within reach '
            f"of a download. Received: {' '.join(str(error).split())}. Put {wanted}, "
            "pass weights=<such a file>, or weights=None for random ones; `tftransfer "
            "backbones` lists what is on this machine."
        ) from error


@contextlib.contextmanager
def _socket_timeout(seconds):
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _square_stddev(source):
    # EfficientNet's ImageNet files store standard deviations as variances. Keras mends
    # that with one more layer, but for weights="imagenet" only, not for the same file.
    for layer in source.layers:
        if isinstance(layer, keras.layers.Normalization) and layer.weights:
            mean, variance, count = layer.get_weights()
            if np.allclose(variance, IMAGENET_STDDEV, rtol=1e-3):
                layer.set_weights([mean, variance**2, count])


def _rebuild(source, name, resizing, mode, in_channels):
    """Rebuild `source` behind resizing and preprocessing, as one flat graph."""
    inputs = keras.Input((None, None, in_channels), name="image")
    # Resizing runs in training mode unless told, and so would every layer after it.
    resized = resizing(inputs, training=False)
    prepared = preprocess_pixels(resized, mode, in_channels)
    last = source.layers[-1]
    # ConvNeXt normalizes after pooling; without the top Keras leaves out the pooling.
    pools_first = isinstance(last, keras.layers.LayerNormalization)

    def renew(layer):
        if isinstance(layer, keras.Sequential):
            return layer
        config = _widened_config(layer, in_channels)
        if layer is last and pools_first:
            config["name"] = "features"
        return layer.__class__.from_config(config)

    def call(layer, *args, **kwargs):
        args = keras.tree.map_structure(
            lambda value: prepared if value is inputs else value, args
        )
        if isinstance(layer, keras.Sequential):
            return functools.reduce(lambda x, part: renew(part)(x), layer.layers, *args)
        if layer.name == "features":
            args = (keras.layers.GlobalAveragePooling2D(name="pool")(*args),)
        return layer(*args, **kwargs)

    rebuilt = keras.models.clone_model(
        source, input_tensors=inputs, clone_function=renew, call_function=call
    )
    features = rebuilt.output
    if not pools_first:
        features = keras.layers.GlobalAveragePooling2D(name="features")(features)
    return keras.Model(inputs, features, name=name)


def _widened_config(layer, in_channels):
    config = layer.get_config()
    if isinstance(layer, (keras.layers.Normalization, keras.layers.Rescaling)):
        # Pixels keep their precision under a mixed policy.
        config["dtype"] = "float32"
    if isinstance(layer, keras.layers.Normalization) and layer.input_mean is not None:
        config["mean"] = widen_statistics(layer.input_mean, in_channels)
        config["variance"] = widen_statistics(layer.input_variance, in_channels)
    return config
