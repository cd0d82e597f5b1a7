"""What is known about each network of `keras.applications` without building it."""

import dataclasses
import inspect
import os
import pathlib

import keras

from tftransfer.checks import check_choice

_APACHE = "Apache-2.0 (Keras documentation)"
_BSD = "BSD (Keras documentation)"
_BSD_3 = "BSD-3-Clause (Keras documentation)"
_CC_BY = "CC BY 4.0, VGG at Oxford (Keras documentation)"
_MIT = "MIT (Keras documentation)"
_UNSTATED = "not stated by Keras"
_CONVNEXT = "not stated by Keras; assembled from facebookresearch/ConvNeXt"
_KERNELS = "_weights_tf_dim_ordering_tf_kernels_notop.h5"
# Sizes for which Keras publishes weights of their own; any other size takes 224.
_MOBILENET_SIZES = {"MobileNet": (128, 160, 192), "MobileNetV2": (96, 128, 160, 192)}


@dataclasses.dataclass(frozen=True)
class Application:
    """One constructor of `keras.applications`.

    Attributes:
        image_size: `(height, width)` in pixels of its pretraining.
        parameters: Number of weights without the classification top.
        width: Number of features.
        weights_file: Name of its ImageNet weights without top in Keras' cache, or
            `None` where it is not known.
        license: License of these weights as far as Keras states it.
    """

    image_size: tuple
    parameters: int
    width: int
    weights_file: str | None
    license: str


def _row(side, parameters, width, weights_file, license):
    return Application((side, side), parameters, width, weights_file, license)


APPLICATIONS = {
    "ConvNeXtBase": _row(224, 87566464, 1024, "convnext_base_notop.h5", _CONVNEXT),
    "ConvNeXtLarge": _row(224, 196230336, 1536, "convnext_large_notop.h5", _CONVNEXT),
    "ConvNeXtSmall": _row(224, 49454688, 768, "convnext_small_notop.h5", _CONVNEXT),
    "ConvNeXtTiny": _row(224, 27820128, 768, "convnext_tiny_notop.h5", _CONVNEXT),
    "ConvNeXtXLarge": _row(224, 348147968, 2048, "convnext_xlarge_notop.h5", _CONVNEXT),
    "DenseNet121": _row(224, 7037504, 1024, f"densenet121{_KERNELS}", _BSD_3),
    "DenseNet169": _row(224, 12642880, 1664, f"densenet169{_KERNELS}", _BSD_3),
    "DenseNet201": _row(224, 18321984, 1920, f"densenet201{_KERNELS}", _BSD_3),
    "EfficientNetB0": _row(224, 4049571, 1280, "efficientnetb0_notop.h5", _UNSTATED),
    "EfficientNetB1": _row(240, 6575239, 1280, "efficientnetb1_notop.h5", _UNSTATED),
    "EfficientNetB2": _row(260, 7768569, 1408, "efficientnetb2_notop.h5", _UNSTATED),
    "EfficientNetB3": _row(300, 10783535, 1536, "efficientnetb3_notop.h5", _UNSTATED),
    "EfficientNetB4": _row(380, 17673823, 1792, "efficientnetb4_notop.h5", _UNSTATED),
    "EfficientNetB5": _row(456, 28513527, 2048, "efficientnetb5_notop.h5", _UNSTATED),
    "EfficientNetB6": _row(528, 40960143, 2304, "efficientnetb6_notop.h5", _UNSTATED),
    "EfficientNetB7": _row(600, 64097687, 2560, "efficientnetb7_notop.h5", _UNSTATED),
    "EfficientNetV2B0": _row(
        224, 5919312, 1280, "efficientnetv2-b0_notop.h5", _UNSTATED
    ),
    "EfficientNetV2B1": _row(
        240, 6931124, 1280, "efficientnetv2-b1_notop.h5", _UNSTATED
    ),
    "EfficientNetV2B2": _row(
        260, 8769374, 1408, "efficientnetv2-b2_notop.h5", _UNSTATED
    ),
    "EfficientNetV2B3": _row(
        300, 12930622, 1536, "efficientnetv2-b3_notop.h5", _UNSTATED
    ),
    "EfficientNetV2L": _row(
        480, 117746848, 1280, "efficientnetv2-l_notop.h5", _UNSTATED
    ),
    "EfficientNetV2M": _row(
        480, 53150388, 1280, "efficientnetv2-m_notop.h5", _UNSTATED
    ),
    "EfficientNetV2S": _row(
        384, 20331360, 1280, "efficientnetv2-s_notop.h5", _UNSTATED
    ),
    "InceptionResNetV2": _row(
        299, 54336736, 1536, f"inception_resnet_v2{_KERNELS}", _APACHE
    ),
    "InceptionV3": _row(299, 21802784, 2048, f"inception_v3{_KERNELS}", _APACHE),
    "MobileNet": _row(224, 3228864, 1024, "mobilenet_1_0_224_tf_no_top.h5", _APACHE),
    "MobileNetV2": _row(
        224,
        2257984,
        1280,
        "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5",
        _APACHE,
    ),
    "MobileNetV3Large": _row(
        224,
        2996352,
        960,
        "weights_mobilenet_v3_large_224_1.0_float_no_top_v2.h5",
        _UNSTATED,
    ),
    "MobileNetV3Small": _row(
        224,
        939120,
        576,
        "weights_mobilenet_v3_small_224_1.0_float_no_top_v2.h5",
        _UNSTATED,
    ),
    "NASNetLarge": _row(331, 84916818, 4032, "nasnet_large_no_top.h5", _APACHE),
    "NASNetMobile": _row(224, 4269716, 1056, "nasnet_mobile_no_top.h5", _APACHE),
    "ResNet101": _row(224, 42658176, 2048, f"resnet101{_KERNELS}", _MIT),
    "ResNet101V2": _row(224, 42626560, 2048, f"resnet101v2{_KERNELS}", _BSD),
    "ResNet152": _row(224, 58370944, 2048, f"resnet152{_KERNELS}", _MIT),
    "ResNet152V2": _row(224, 58331648, 2048, f"resnet152v2{_KERNELS}", _BSD),
    "ResNet50": _row(224, 23587712, 2048, f"resnet50{_KERNELS}", _MIT),
    "ResNet50V2": _row(224, 23564800, 2048, f"resnet50v2{_KERNELS}", _BSD),
    "VGG16": _row(224, 14714688, 512, f"vgg16{_KERNELS}", _CC_BY),
    "VGG19": _row(224, 20024384, 512, f"vgg19{_KERNELS}", _CC_BY),
    "Xception": _row(299, 20861480, 2048, f"xception{_KERNELS}", _MIT),
}
"""name -> `Application`, for every constructor of the Keras this was written for."""


def list_applications():
    """List the constructors of `keras.applications` in the installed Keras.

    Returns:
        Sorted list of str, found by inspection.

    Example:

    >>> "ResNet50" in list_applications()
    True
    """
    return sorted(
        name
        for name, value in vars(keras.applications).items()
        if inspect.isfunction(value)
        and {"include_top", "weights"} <= set(inspect.signature(value).parameters)
    )


def describe_application(name):
    """Describe one network of `keras.applications`.

    Taken from `APPLICATIONS`; a network that only a newer Keras has is built once.

    Args:
        name: One of `list_applications()`.

    Returns:
        An `Application`.

    Raises:
        ValueError: If there is no such network.

    Example:

    >>> describe_application("ResNet50").width
    2048
    """
    check_choice("name", name, list_applications())
    return APPLICATIONS.get(name) or _measure(getattr(keras.applications, name))


def _measure(constructor):
    size = constructor(weights=None).input_shape[1:3]
    size = tuple(side or 224 for side in size)  # MobileNetV3 has no default
    body = constructor(weights=None, include_top=False, input_shape=(*size, 3))
    width = body.output_shape[-1]
    return Application(size, body.count_params(), width, None, _UNSTATED)


def application_weights_path(name, *, image_size=None, **options):
    """Say where Keras keeps the ImageNet weights of a network, or would keep them.

    Args:
        name: One of `list_applications()`.
        image_size: `(height, width)` in pixels; some sizes of MobileNet and
            MobileNetV2 have weights of their own.
        **options: Options of the constructor, such as `alpha=0.35`.

    Returns:
        `pathlib.Path` in Keras' cache (`$KERAS_HOME/models`, or `~/.keras/models`),
        whether or not the file is there; `None` for a network `APPLICATIONS` lacks.

    Raises:
        ValueError: If there is no such network.

    Example:

    >>> application_weights_path("NASNetMobile").name
    'nasnet_mobile_no_top.h5'
    """
    check_choice("name", name, list_applications())
    if name not in APPLICATIONS:
        return None
    file = APPLICATIONS[name].weights_file
    rows = _published_size(name, image_size)
    alpha = float(options.get("alpha", 1.0))
    if name == "MobileNet":
        text = {1.0: "1_0", 0.75: "7_5", 0.5: "5_0"}.get(alpha, "2_5")
        file = f"mobilenet_{text}_{rows}_tf_no_top.h5"
    elif name == "MobileNetV2":
        file = file.replace("1.0_224", f"{alpha}_{rows}")
    elif name.startswith("MobileNetV3"):
        minimalistic = "_minimalistic" if options.get("minimalistic") else ""
        file = file.replace("_224_1.0", f"{minimalistic}_224_{alpha}")
    home = os.environ.get("KERAS_HOME", os.path.join("~", ".keras"))
    return pathlib.Path(home).expanduser() / "models" / file


def _published_size(name, image_size):
    height, width = image_size or (224, 224)
    square = height == width and height in _MOBILENET_SIZES.get(name, ())
    return height if square else 224
