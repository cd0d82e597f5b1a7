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
from tftransfer.backbones.weight_files import check_weights, load_weights_file
from tftransfer.backbones.widening import copy_weights_widened, widen_statistics
from tftransfer.checks import check_choice, check_image_size, check_whole_number
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
_MODES = ("caffe", "tf", "torch")
_CAFFE_MEAN = (103.939, 116.779, 123.68)  # blue, green, red
_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STDDEV = (0.229, 0.224, 0.225)


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
    image_size = image_size or describe_application(name).image_size
    image_size = check_image_size("image_size", image_size)
    resizing = build_resizing(image_size, interpolation=interpolation, crop=crop)
    mode = _preprocessing_mode(name, constructor)
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
    # Keras writes alpha into a file name, where 1 and 1.0 differ.
    return {
        key: float(value) if key == "alpha" else value for key, value in options.items()
    }


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
    if weights != "imagenet":
        load_weights_file(source, weights, f"keras.applications.{name}", options)
    else:
        path = application_weights_path(name, image_size=image_size, **options)
        if path is not None and path.is_file():
            load_weights_file(source, path, f"keras.applications.{name}", options)
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
            if np.allclose(variance, _IMAGENET_STDDEV, rtol=1e-3):
                layer.set_weights([mean, variance**2, count])


def _preprocessing_mode(name, constructor):
    preprocess = inspect.getmodule(constructor).preprocess_input
    pixels = np.linspace(0.0, 255.0, 12, dtype="float32").reshape(1, 2, 2, 3)
    result = preprocess(pixels.copy())
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


def _preprocess(x, mode, in_channels):
    if mode == "included":
        return x
    if mode == "tf":
        return keras.layers.Rescaling(
            1 / 127.5, -1.0, dtype="float32", name="preprocessing"
        )(x)
    mean = [255 * value for value in _IMAGENET_MEAN]
    variance = [(255 * value) ** 2 for value in _IMAGENET_STDDEV]
    if mode == "caffe":
        mean, variance = _CAFFE_MEAN, (1.0, 1.0, 1.0)
        if in_channels == 3:
            x = keras.ops.flip(x, axis=-1)
        else:  # colors in any number have no reverse: the first kernel is reversed
            mean = mean[::-1]
    return keras.layers.Normalization(
        mean=widen_statistics(mean, in_channels),
        variance=widen_statistics(variance, in_channels),
        dtype="float32",
        name="preprocessing",
    )(x)


def _rebuild(source, name, resizing, mode, in_channels):
    """Rebuild `source` behind resizing and preprocessing, as one flat graph."""
    inputs = keras.Input((None, None, in_channels), name="image")
    prepared = _preprocess(resizing(inputs), mode, in_channels)
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
            args = [keras.layers.GlobalAveragePooling2D(name="pool")(*args)]
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
