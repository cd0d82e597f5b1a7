"""What a model takes: images, texts or numbers, and how bytes become its input."""

import dataclasses

import keras

from tftransfer.resizing import build_resizing, find_resizing, resize_images

IMAGES, TEXTS, NUMBERS = "images", "texts", "numbers"
DECODABLE_CHANNELS = (1, 3, 4)


@dataclasses.dataclass(frozen=True)
class ModelInput:
    """The one input of a model, read from its graph.

    Attributes:
        kind: `IMAGES`, `TEXTS` (strings) or `NUMBERS` (anything else).
        shape: The model's input shape, `None` where a size is free.
        dtype: Name of the model's input dtype.
        resizing: The `Resizing` that brings an image of any size to `image_size`:
            the model's own first layer, or one for its fixed size. `None` for texts,
            numbers and models for images of any size.
        resizes_itself: Whether `resizing` is the model's own layer.
    """

    kind: str
    shape: tuple
    dtype: str
    resizing: keras.layers.Layer | None = None
    resizes_itself: bool = False

    @property
    def image_size(self):
        """`(height, width)` that the network sees, or `None`."""
        return self.resizing and (self.resizing.height, self.resizing.width)

    @property
    def channels(self):
        """Number of image channels, or `None`."""
        return self.shape[-1] if self.kind == IMAGES else None

    @property
    def is_decodable(self):
        """Whether an image file can hold this input."""
        return self.channels in DECODABLE_CHANNELS

    def describe_resizing(self):
        """Return the settings of `resizing` as plain Python values, or `None`."""
        return self.resizing and {
            "interpolation": self.resizing.interpolation,
            "antialias": self.resizing.antialias,
            "crop": self.resizing.crop_to_aspect_ratio,
            "pad": self.resizing.pad_to_aspect_ratio,
        }

    def fit_size(self, images):
        """Return float32 images as the model takes them, unrounded.

        A model that resizes itself takes them as they are.
        """
        if self.resizing is None or self.resizes_itself:
            return keras.ops.cast(images, "float32")
        return resize_images(images, self.resizing)


def read_input(model):
    """Read what a functional or Sequential model takes.

    Args:
        model: A `keras.Model` with one input.

    Returns:
        A `ModelInput`.

    Raises:
        TypeError: If `model` is no Keras model.
        ValueError: If the model has no graph or several inputs, or if nothing tells
            to which size an image has to be brought.
    """
    if not isinstance(model, keras.Model):
        raise TypeError(
            "`model` must be a keras.Model. "
            f"Received: model={model!r} of type {type(model).__name__}. "
            "Load a `.keras` file with keras.models.load_model first."
        )
    shape, dtype = _only_input(model)
    if dtype == "string":
        return ModelInput(TEXTS, shape, dtype)
    if len(shape) != 4 or shape[-1] is None:
        return ModelInput(NUMBERS, shape, dtype)
    own = find_resizing(model)
    if own is not None and not keras.backend.is_float_dtype(dtype):
        raise ValueError(
            "`model` must take float pixels when it resizes them, because Keras "
            f"rounds resized integers. Received: an input of dtype {dtype!r}. "
            "Build it on keras.Input(shape) without dtype: uint8 images are then "
            "cast when they come in."
        )
    resizing = own or _resizing_to(model.name, shape)
    return ModelInput(IMAGES, shape, dtype, resizing, resizes_itself=own is not None)


def _only_input(model):
    inputs = getattr(model, "inputs", None)
    if not inputs or len(inputs) != 1:
        names = [tensor.name for tensor in inputs or []]
        raise ValueError(
            "`model` must be a built functional or Sequential model with one input. "
            f"Received: model={model.name!r} of type {type(model).__name__} with "
            f"inputs {names}. Wrap it: keras.Model(x := keras.Input(shape), model(x))."
        )
    return tuple(inputs[0].shape), inputs[0].dtype


def _resizing_to(name, shape):
    size = shape[1:3]
    if None not in size:
        return build_resizing(size)
    if shape[-1] not in DECODABLE_CHANNELS:
        return None  # such images come as arrays, all of one size
    raise ValueError(
        "`model` must begin with a Resizing layer or take images of one fixed size, "
        "so that encoded images of any size can be served. "
        f"Received: model={name!r} with input shape {shape}. "
        "Put tft.build_resizing(image_size) first, or give keras.Input a fixed shape."
    )
