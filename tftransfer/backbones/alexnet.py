"""AlexNet as published: grouped convolutions and local response normalization."""

import keras
from keras import layers, ops

from tftransfer.backbones.weight_files import check_weights, load_weights_file
from tftransfer.backbones.widening import copy_weights_widened, widen_statistics
from tftransfer.checks import check_image_size, check_whole_number
from tftransfer.resizing import build_resizing

_IMAGE_SIZE = (227, 227)
_SMALLEST_SIDE = 67  # below it the last pooling has nothing left to pool
_IMAGENET_MEAN = (123.68, 116.779, 103.939)  # red, green, blue
# Section 3.3 of the paper: k, n, alpha, beta.
_OFFSET, _NEIGHBORS, _SCALE, _POWER = 2.0, 5, 1e-4, 0.75


def build_alexnet(
    *,
    image_size=None,
    weights=None,
    in_channels=3,
    interpolation="bilinear",
    crop=False,
    include_top=False,
    num_classes=1000,
):
    """Build AlexNet, the network of Krizhevsky et al. (2012), that takes raw pixels.

    The two towers of the paper (one per graphics card) are written as one, with
    convolutions 2, 4 and 5 in two groups, as in CaffeNet; normalization comes before
    pooling, as in the paper. With its top it has the paper's 60,965,224 parameters,
    2,334,080 of them in the convolutions. Its features are the last feature map, 6 x 6
    x 256, flattened to 9,216: what the two wide layers of the paper start from
    (`head=(4096, 4096)` with `dropout=0.5` restores them).

    Blocks are named `conv1` to `conv5`, `norm1`, `norm2` and `pool1` to `pool5`. The
    mean color of ImageNet is subtracted inside. No Keras weights are published.

    Args:
        image_size: `(height, width)` in pixels the images are resized to, each side at
            least 67; `None` takes 227 x 227, for which the paper's figures hold.
        weights: `None` for random ones, or a `.weights.h5`, `.h5` or `.keras` file
            saved from this network for three channels, with the same `include_top`.
        in_channels: Channels of the images; other than three take a widened first
            kernel and a mean color widened alike.
        interpolation: How to resize, one of `INTERPOLATIONS`.
        crop: Whether to crop to the aspect ratio of `image_size` before resizing.
        include_top: Whether to add the paper's three dense layers; the output then is
            logits, and the layer named `features` lies before them.
        num_classes: Number of logits of the top.

    Returns:
        A functional `keras.Model`: images `(batch, height, width, in_channels)` of any
        size and numeric dtype, values 0..255, to features `(batch, 9216)`, or logits
        `(batch, num_classes)`.

    Raises:
        ValueError: If an argument is not acceptable or the file holds other weights.

    Example:

    >>> model = build_alexnet(image_size=(67, 67))
    >>> tuple(model(np.zeros((2, 48, 64, 3), "uint8")).shape)
    (2, 256)

    Reference:
        [Krizhevsky et al., 2012](https://doi.org/10.1145/3065386), section 3.
    """
    image_size = _check_size(image_size)
    if weights == "imagenet":
        raise ValueError(
            "`weights` of alexnet must be None or a file: no Keras weights of it are "
            "published. Received: weights='imagenet'. Pass weights=None, in "
            'load_backbone("alexnet", weights=None) for example.'
        )
    check_weights(weights)
    check_whole_number("in_channels", in_channels)
    check_whole_number("num_classes", num_classes)

    def build(channels):
        resizing = build_resizing(image_size, interpolation=interpolation, crop=crop)
        inputs = keras.Input((None, None, channels), name="image")
        # Resizing runs in training mode unless told, and so would the dropout.
        x = resizing(inputs, training=False)
        x = _convolutions(_subtract_mean(x, channels))
        x = layers.Flatten(name="features")(x)
        x = _top(x, num_classes) if include_top else x
        return keras.Model(inputs, x, name="alexnet")

    model = build(in_channels)
    if weights is not None:
        source = model if in_channels == 3 else build(3)
        load_weights_file(source, weights, f"alexnet(include_top={include_top})")
        if source is not model:
            copy_weights_widened(source, model)
    return model


def _check_size(image_size):
    height, width = check_image_size("image_size", image_size or _IMAGE_SIZE)
    if min(height, width) < _SMALLEST_SIDE:
        raise ValueError(
            f"`image_size` of alexnet must be at least "
            f"{(_SMALLEST_SIDE, _SMALLEST_SIDE)}. Received: "
            f"image_size={(height, width)}. Small images are enlarged: pass "
            f"image_size={_IMAGE_SIZE}, as in the paper."
        )
    return (height, width)


def _subtract_mean(x, in_channels):
    return layers.Normalization(
        mean=widen_statistics(_IMAGENET_MEAN, in_channels),
        variance=widen_statistics((1.0, 1.0, 1.0), in_channels),
        dtype="float32",
        name="preprocessing",
    )(x)


def _convolutions(x):
    x = layers.Conv2D(96, 11, strides=4, activation="relu", name="conv1")(x)
    x = layers.MaxPooling2D(3, strides=2, name="pool1")(_normalize(x, "norm1"))
    x = _convolution(x, 256, "conv2", kernel_size=5, groups=2)
    x = layers.MaxPooling2D(3, strides=2, name="pool2")(_normalize(x, "norm2"))
    x = _convolution(x, 384, "conv3")
    x = _convolution(x, 384, "conv4", groups=2)
    x = _convolution(x, 256, "conv5", groups=2)
    return layers.MaxPooling2D(3, strides=2, name="pool5")(x)


def _convolution(x, filters, name, kernel_size=3, groups=1):
    return layers.Conv2D(
        filters,
        kernel_size,
        padding="same",
        groups=groups,
        activation="relu",
        name=name,
    )(x)


def _normalize(x, name):
    """Divide by `(k + alpha * sum of squares over n neighboring channels) ** beta`."""
    height, width, channels = x.shape[1:]
    squares = layers.Reshape((height * width, channels, 1))(ops.square(x))
    around = _NEIGHBORS // 2
    squares = layers.ZeroPadding2D(((0, 0), (around, around)))(squares)
    means = layers.AveragePooling2D((1, _NEIGHBORS), strides=1)(squares)
    means = layers.Reshape((height, width, channels))(means)
    scale = layers.Rescaling(_SCALE * _NEIGHBORS, _OFFSET)(means)
    return layers.Multiply(name=name)([x, ops.power(scale, -_POWER)])


def _top(x, num_classes):
    for name in ("fc6", "fc7"):
        x = layers.Dense(4096, activation="relu", name=name)(x)
        x = layers.Dropout(0.5, name=f"{name}_dropout")(x)
    return layers.Dense(num_classes, dtype="float32", name="logits")(x)
