"""Pretrained weights for images with other than three channels."""

import keras
import numpy as np

from tftransfer.checks import check_whole_number


def widen_first_kernel(kernel, in_channels):
    """Make a first kernel for color images fit another number of channels.

    Grey images take the sum over the colors: the same activations as the grey image
    repeated three times. Otherwise channel `i` takes the kernel of color `i % 3`, all
    scaled by `3 / in_channels`: for a multiple of three, repeated color images give
    the same activations; for any other number, activations of the same scale.

    Args:
        kernel: Float array `(height, width, 3, filters)`.
        in_channels: Number of channels, at least 1.

    Returns:
        Float array `(height, width, in_channels, filters)`, same dtype.

    Raises:
        ValueError: If the kernel has not three input channels, or `in_channels` < 1.
        TypeError: If `in_channels` is not a whole number.

    Example:

    >>> kernel = np.array([1.0, 2.0, 3.0]).reshape(1, 1, 3, 1)
    >>> widen_first_kernel(kernel, 1).ravel()
    array([6.])
    >>> widen_first_kernel(kernel, 6).ravel()
    array([0.5, 1. , 1.5, 0.5, 1. , 1.5])
    """
    check_whole_number("in_channels", in_channels)
    kernel = np.asarray(kernel)
    if kernel.ndim != 4 or kernel.shape[2] != 3:
        raise ValueError(
            "`kernel` must have shape (height, width, 3, filters). Received: "
            f"kernel.shape={kernel.shape}. Pass the first kernel of a network for "
            "color images."
        )
    if in_channels == 1:
        return kernel.sum(axis=2, keepdims=True)
    if in_channels == 3:
        return kernel
    widened = kernel[:, :, np.arange(in_channels) % 3]
    return (widened * (3 / in_channels)).astype(kernel.dtype)


def widen_statistics(values, in_channels):
    """Make three per-color statistics fit another number of channels.

    Args:
        values: Three numbers, a mean or variance per color.
        in_channels: Number of channels, at least 1.

    Returns:
        List of `in_channels` floats: repeated in the same order; for grey their mean.

    Raises:
        ValueError: If `in_channels` < 1.
        TypeError: If `in_channels` is not a whole number.

    Example:

    >>> widen_statistics([1.0, 2.0, 3.0], 4)
    [1.0, 2.0, 3.0, 1.0]
    """
    check_whole_number("in_channels", in_channels)
    values = [float(value) for value in values]
    if in_channels == 1:
        return [sum(values) / len(values)]
    return [values[channel % len(values)] for channel in range(in_channels)]


def copy_weights_widened(source_model, target_model, *, reverse_colors=False):
    """Copy all weights from a network for color images to the same with more channels.

    Layers with weights are paired in order, those of nested models included. Where
    shapes differ, a kernel goes through `widen_first_kernel`, the statistics of a
    `Normalization` layer through `widen_statistics`. Grey images then give what the
    same images repeated to three channels give, exactly where all colors are scaled
    alike before the first kernel (as MobileNetV2 does), and nearly so where each color
    has statistics of its own (VGG16, DenseNet121, EfficientNetB0).

    Args:
        source_model: Built `keras.Model` for three channels.
        target_model: Built `keras.Model`, the same but for its number of channels.
        reverse_colors: Whether the source takes blue, green, red and the target red,
            green, blue, so that the first kernel is reversed on the way.

    Raises:
        ValueError: If the two models differ in anything but the number of channels.

    Example:

    >>> build = tft.load_backbone
    >>> color = build("keras:MobileNetV2", weights=None, image_size=32).model
    >>> grey = build("keras:MobileNetV2", weights=None, image_size=32, in_channels=1)
    >>> copy_weights_widened(color, grey.model)
    """
    sources = list(_layers_with_weights(source_model))
    targets = list(_layers_with_weights(target_model))
    if len(sources) != len(targets):
        raise ValueError(
            "`target_model` must have the layers of `source_model`. Received: "
            f"{len(targets)} layers with weights against {len(sources)}. Build both "
            "with the same arguments but for the number of channels."
        )
    for source, target in zip(sources, targets, strict=True):
        target.set_weights(_widened_weights(source, target, reverse_colors))
        if isinstance(target, keras.layers.Normalization):
            # It computes with constants made from its weights, not with the weights.
            target.finalize_state()


def _layers_with_weights(model):
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _layers_with_weights(layer)
        elif layer.weights:
            yield layer


def _widened_weights(source, target, reverse_colors):
    values = source.get_weights()
    shapes = [tuple(weight.shape) for weight in target.weights]
    if len(values) == len(shapes):
        values = [
            _fit(value, shape, source, reverse_colors)
            for value, shape in zip(values, shapes, strict=True)
        ]
    given = [value.shape for value in values]
    if given != shapes:
        raise ValueError(
            "`target_model` must differ from `source_model` in its number of channels "
            f"only. Received: layer {source.name!r} with weights {given} for layer "
            f"{target.name!r} with {shapes}. Build both with the same arguments."
        )
    return values


def _fit(value, shape, source, reverse_colors):
    if value.shape == shape:
        return value
    if value.ndim == len(shape) == 4 and value.shape[2] == 3:
        kernel = value[:, :, ::-1] if reverse_colors else value
        return widen_first_kernel(kernel, shape[2])
    if value.ndim == len(shape) == 1 and isinstance(source, keras.layers.Normalization):
        return np.asarray(widen_statistics(value, shape[0]), value.dtype)
    return value
