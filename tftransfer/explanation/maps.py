"""Maps of evidence: a feature map weighed by channel, brought to 0..1 and to size."""

from keras import ops


def weigh_channels(feature_map, weights):
    """Add up the channels of a feature map, each with its weight.

        M(y, x) = sum_k w_k f_k(y, x)

    Args:
        feature_map: Float tensor `(batch, height, width, channels)`.
        weights: Float tensor `(batch, channels)`.

    Returns:
        float32 tensor `(batch, height, width)`; below 0 stands evidence against.

    Example:

    >>> from tftransfer.explanation.maps import weigh_channels
    >>> feature_map = np.array([[[[1.0, 2.0]], [[3.0, 0.0]]]])  # two places, 2 channels
    >>> weigh_channels(feature_map, np.array([[1.0, -1.0]])).numpy().tolist()
    [[[-1.0], [3.0]]]

    Reference:
        [Zhou et al., 2016](https://arxiv.org/abs/1512.04150), equation 2.
    """
    feature_map = ops.cast(feature_map, "float32")
    weights = ops.cast(weights, "float32")
    return ops.einsum("nhwc,nc->nhw", feature_map, weights)


def to_heat(maps):
    """Keep the evidence for the class, and divide by its highest place.

        H = max(M, 0) / max_yx M(y, x)

    Args:
        maps: Float tensor `(batch, height, width)`.

    Returns:
        float32 tensor of the same shape, 0..1; all 0 where no place speaks for the
        class.

    Example:

    >>> from tftransfer.explanation.maps import to_heat
    >>> to_heat(np.array([[[-1.0, 1.0, 4.0]]])).numpy().tolist()
    [[[0.0, 0.25, 1.0]]]

    Reference:
        [Selvaraju et al., 2017](https://arxiv.org/abs/1610.02391), equation 2.
    """
    positive = ops.relu(ops.cast(maps, "float32"))
    highest = ops.max(positive, axis=(1, 2), keepdims=True)
    return positive / ops.where(highest > 0, highest, 1.0)


def resize_heat(heat, box, size):
    """Lay heat over the part of an image that the network saw.

    Args:
        heat: Float tensor `(batch, height, width)`, 0..1.
        box: `(top, left, height, width)` in pixels of the image: where the map lies; it
            may reach beyond the image.
        size: `(height, width)` of the image.

    Returns:
        float32 tensor `(batch, *size)`, 0..1: bilinear within the box, its highest
        place again 1, and 0 outside.

    Example:

    >>> from tftransfer.explanation.maps import resize_heat
    >>> resize_heat(np.ones((1, 1, 1)), (0, 1, 2, 2), (2, 4)).numpy().tolist()
    [[[0.0, 1.0, 1.0, 0.0], [0.0, 1.0, 1.0, 0.0]]]
    """
    top, left, height, width = box
    large = ops.image.resize(heat[..., None], (height, width), "bilinear")[..., 0]
    large = large[
        :,
        max(-top, 0) : max(-top, 0) + size[0],
        max(-left, 0) : max(-left, 0) + size[1],
    ]
    top, left = max(top, 0), max(left, 0)
    below = size[0] - top - large.shape[1]
    right = size[1] - left - large.shape[2]
    return to_heat(ops.pad(large, [[0, 0], [top, below], [left, right]]))


def seen_box(size, resizing):
    """Tell which part of an image a `Resizing` layer shows to the network.

    Args:
        size: `(height, width)` of the image.
        resizing: `keras.layers.Resizing`, or `None` for a network without one.

    Returns:
        `(top, left, height, width)`, larger than the image where the layer pads.

    Example:

    >>> from tftransfer.explanation.maps import seen_box
    >>> seen_box((40, 60), tft.build_resizing(8, crop=True))
    (0, 10, 40, 40)
    """
    height, width = size
    if resizing is None:
        return (0, 0, height, width)
    # As Keras computes it: the side that the aspect ratio would ask for, cut off.
    by_width = int(width * resizing.height / resizing.width)
    by_height = int(height * resizing.width / resizing.height)
    if resizing.crop_to_aspect_ratio:
        seen = min(height, by_width), min(width, by_height)
    elif resizing.pad_to_aspect_ratio:
        seen = max(height, by_width), max(width, by_height)
    else:
        seen = height, width
    top, left = int((height - seen[0]) / 2), int((width - seen[1]) / 2)
    return (top, left, *seen)
