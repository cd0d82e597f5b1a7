"""A SavedModel or TensorFlow Hub module as a backbone: raw input -> features."""

import keras

from tftransfer.backbones.hub_layer import HubLayer
from tftransfer.checks import check_image_size
from tftransfer.resizing import build_resizing


def load_hub_model(
    handle,
    *,
    image_size=None,
    pixel_range=(0, 1),
    trainable=False,
    output_key=None,
    signature=None,
    batch_norm="inference",
):
    """Load a SavedModel or TensorFlow Hub module as a model from input to features.

    An image module (input of shape `(batch, height, width, 3)`) gets raw pixels of any
    size: they are resized to the size that the module wants and scaled to the range
    that it wants, inside the model. Every other module gets its own kind of input:
    text, token numbers, audio.

    Args:
        handle: Directory of a SavedModel, or URL (see `resolve_handle`).
        image_size: `(height, width)` for an image module that takes any size;
            otherwise `None`.
        pixel_range: `(lowest, highest)` pixel value that the image module was trained
            on; TensorFlow Hub's convention is (0, 1). A module that takes whole numbers
            gets 0..255.
        trainable: Whether the module's variables learn.
        output_key: Which output to take where there are several.
        signature: Name of the signature to call instead of `__call__`.
        batch_norm: See `HubLayer`.

    Returns:
        Functional `keras.Model` of stock layers and one `HubLayer`. Its last layer
        `features` gives `(batch, features)`: a feature map is averaged over its
        positions, a sequence over its steps.

    Raises:
        ValueError: If the module cannot be loaded, an image size is missing or does
            not fit, the pixel range is none, or the output has no features.

    Example:

    >>> import tempfile
    >>> folder, module = tempfile.mkdtemp(), tf.Module()
    >>> module.average = tf.function(
    ...     lambda x: tf.reduce_mean(x, [1, 2]), [tf.TensorSpec((None, 8, 8, 3))])
    >>> tf.saved_model.save(module, folder, signatures=module.average)
    >>> white = np.full((1, 20, 30, 3), 255, "uint8")
    >>> load_hub_model(folder)(white).numpy()
    array([[1., 1., 1.]], dtype=float32)
    """
    _check_pixel_range(pixel_range)
    layer = HubLayer(
        handle,
        trainable=trainable,
        output_key=output_key,
        signature=signature,
        batch_norm=batch_norm,
    )
    shape, dtype = layer.record.inputs
    if _takes_images(shape, dtype):
        size = _choose_image_size(shape[1:3], image_size)
        inputs = keras.Input((None, None, 3), name="image")
        outputs = build_resizing(size)(inputs, training=False)  # see its docstring
        if keras.backend.is_float_dtype(dtype):
            outputs = _scale(*pixel_range)(outputs)
    else:
        _check_no_image_size(image_size, shape)
        inputs = outputs = keras.Input(shape[1:], dtype=dtype, name="input")
    return keras.Model(inputs, _pool(layer(outputs)), name="hub_model")


def _takes_images(shape, dtype):
    if shape is None:
        raise ValueError(
            "`handle` must be a SavedModel that tells the rank of its input. "
            "Received: an input of unknown shape. Choose another function with "
            "`signature=`, or build a model around HubLayer yourself."
        )
    return len(shape) == 4 and shape[3] in (3, None) and dtype != "string"


def _choose_image_size(wanted, image_size):
    if image_size is not None:
        image_size = check_image_size("image_size", image_size)
    if None in wanted:
        if image_size is None:
            raise ValueError(
                "`image_size` must be given for a module that takes images of any "
                f"size. Received: image_size={image_size!r}. "
                "Pass the size it was trained on, for example image_size=(224, 224)."
            )
        wanted = tuple(w or size for w, size in zip(wanted, image_size, strict=True))
    if image_size not in (None, wanted):
        raise ValueError(
            f"`image_size` must be {wanted}, the only size this module takes. "
            f"Received: image_size={image_size!r}. Leave it out."
        )
    return wanted


def _check_no_image_size(image_size, shape):
    if image_size is not None:
        raise ValueError(
            "`image_size` must be None for a module that takes no color images. "
            f"Received: image_size={image_size!r}; the module's input has shape "
            f"{shape}. Leave it out."
        )


def _check_pixel_range(pixel_range):
    try:
        lowest, highest = pixel_range
        is_range = lowest < highest
    except (TypeError, ValueError):
        is_range = False
    if not is_range:
        raise ValueError(
            "`pixel_range` must be (lowest, highest), two numbers. Received: "
            f"pixel_range={pixel_range!r}. Pass for example (-1, 1)."
        )


def _scale(lowest, highest):
    scale = (highest - lowest) / 255
    return keras.layers.Rescaling(scale, offset=lowest, name="rescaling")


def _pool(outputs):
    rank = len(outputs.shape)
    if rank not in (2, 3, 4) or not keras.backend.is_float_dtype(outputs.dtype):
        raise ValueError(
            "`output_key` must name an output of floating type with shape (batch, "
            "features), (batch, steps, features) or (batch, height, width, features). "
            f"Received: an output of shape {tuple(outputs.shape)} and dtype "
            f"{outputs.dtype}. Choose another one with `output_key=` or `signature=`."
        )
    if rank == 2:
        return keras.layers.Activation("linear", name="features")(outputs)
    kinds = {3: "GlobalAveragePooling1D", 4: "GlobalAveragePooling2D"}
    return getattr(keras.layers, kinds[rank])(name="features")(outputs)
