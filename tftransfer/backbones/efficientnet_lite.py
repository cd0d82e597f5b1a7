"""EfficientNet-Lite, an architecture that Keras lacks: EfficientNet for small CPUs."""

import dataclasses
import math
import string

from keras import layers

from tftransfer.checks import check_choice

_BATCH_NORM = {"momentum": 0.99, "epsilon": 1e-3}
_STEM_WIDTH, _FEATURE_WIDTH = 32, 1280
# Stage of EfficientNet-B0: repeats, kernel, stride, expansion, output width.
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
# Variant: width multiplier, depth multiplier, image size.
_VARIANTS = {
    "lite0": (1.0, 1.0, 224),
    "lite1": (1.0, 1.1, 240),
    "lite2": (1.1, 1.2, 260),
}


@dataclasses.dataclass(frozen=True)
class _Block:
    name: str
    index: int
    kernel: int
    stride: int
    expansion: int
    width_in: int
    width_out: int


def efficientnet_lite_image_size(variant):
    """Return the square image size in pixels that a variant was trained at."""
    check_choice("variant", variant, _VARIANTS)
    return _VARIANTS[variant][2]


def apply_efficientnet_lite(images, variant):
    """Apply EfficientNet-Lite to scaled images.

    Against EfficientNet: no squeeze-and-excitation, ReLU6 instead of swish, and stem
    and last convolution are as wide in every variant.

    Args:
        images: Keras tensor `(batch, height, width, channels)`, scaled to about -1..1.
        variant: `"lite0"`, `"lite1"` or `"lite2"`.

    Returns:
        Keras tensor `(batch, height / 32, width / 32, 1280)`, values 0..6.

    Raises:
        ValueError: If the variant is unknown.

    Reference:
        [Tan & Le, 2019](https://arxiv.org/abs/1905.11946), table 1; EfficientNet-Lite
        is its variant for TensorFlow Lite.
    """
    check_choice("variant", variant, _VARIANTS)
    x = _conv(images, _STEM_WIDTH, 3, "stem", strides=2)
    for block in efficientnet_lite_blocks(variant):
        x = _inverted_residual(x, block)
    return _conv(x, _FEATURE_WIDTH, 1, "top")


def efficientnet_lite_blocks(variant):
    """List the inverted residual blocks of a variant, from the input on."""
    width_multiplier, depth_multiplier, _ = _VARIANTS[variant]
    blocks: list[_Block] = []
    width_in = _STEM_WIDTH
    for number, (repeats, kernel, stride, expansion, width) in enumerate(_STAGES, 1):
        if number not in (1, len(_STAGES)):  # first and last stage keep their depth
            repeats = math.ceil(depth_multiplier * repeats)
        width_out = _round_width(width * width_multiplier)
        for repeat in range(repeats):
            blocks.append(
                _Block(
                    name=f"block{number}{string.ascii_lowercase[repeat]}",
                    index=len(blocks),
                    kernel=kernel,
                    stride=stride if repeat == 0 else 1,
                    expansion=expansion,
                    width_in=width_in,
                    width_out=width_out,
                )
            )
            width_in = width_out
    return blocks


def _round_width(width, divisor=8):
    rounded = max(divisor, int(width + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * width else rounded


def _inverted_residual(x, block):
    shortcut = x
    if block.expansion != 1:
        width = block.width_in * block.expansion
        x = _conv(x, width, 1, f"{block.name}_expand")
    depthwise = layers.DepthwiseConv2D(
        block.kernel,
        strides=block.stride,
        padding="same",
        use_bias=False,
        name=f"{block.name}_depthwise_conv",
    )
    x = _normalize_and_activate(depthwise(x), f"{block.name}_depthwise")
    x = layers.Conv2D(
        block.width_out, 1, use_bias=False, name=f"{block.name}_project_conv"
    )(x)
    x = layers.BatchNormalization(name=f"{block.name}_project_bn", **_BATCH_NORM)(x)
    if block.stride == 1 and block.width_in == block.width_out:
        x = layers.Add(name=f"{block.name}_add")([shortcut, x])
    return x


def _conv(x, width, kernel, name, strides=1):
    x = layers.Conv2D(
        width,
        kernel,
        strides=strides,
        padding="same",
        use_bias=False,
        name=f"{name}_conv",
    )(x)
    return _normalize_and_activate(x, name)


def _normalize_and_activate(x, name):
    x = layers.BatchNormalization(name=f"{name}_bn", **_BATCH_NORM)(x)
    return layers.ReLU(6.0, name=f"{name}_relu")(x)
