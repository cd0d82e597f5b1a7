"""Residual adapters: a thin layer behind each block of a frozen backbone."""

import keras

from tftransfer.branches.rewiring import check_flat, rewire
from tftransfer.checks import check_whole_number
from tftransfer.freezing.blocks import FEATURES, model_blocks
from tftransfer.freezing.depth import set_trainable_depth


@keras.saving.register_keras_serializable(package="tftransfer")
class ResidualAdapter(keras.layers.Layer):
    """Adds to its input what a bottleneck makes of each place of it.

    `x + relu(x D) U`, along the last axis, with U zero at first, so that nothing is
    changed before it has learned.

    Args:
        width: Width of the bottleneck, at least 1.
        kwargs: As of `keras.layers.Layer`.

    Raises:
        ValueError: If `width` is below 1.
        TypeError: If `width` is no whole number.

    Example:

    >>> adapter = ResidualAdapter(2)
    >>> x = np.ones((1, 3, 4), "float32")
    >>> bool(np.all(adapter(x) == x)), adapter.count_params()
    (True, 22)

    Reference:
        [Houlsby et al., 2019](https://arxiv.org/abs/1902.00751), section 2.1; for
        convolutions [Rebuffi et al., 2017](https://arxiv.org/abs/1705.08045).
    """

    learns_with_adapters = True  # and what lies in the backbone beside it does not
    joins_block_below = True

    def __init__(self, width, **kwargs):
        super().__init__(**kwargs)
        check_whole_number("width", width)
        self.width = width
        self.supports_masking = True

    def build(self, input_shape):
        """Make both layers of the bottleneck."""
        self.down = keras.layers.Dense(
            self.width, "relu", name="down", dtype=self.dtype_policy
        )
        self.up = keras.layers.Dense(
            input_shape[-1],
            kernel_initializer="zeros",
            name="up",
            dtype=self.dtype_policy,
        )
        self.down.build(input_shape)
        self.up.build((*input_shape[:-1], self.width))

    def call(self, inputs):
        """Return the input and what is added to it."""
        return inputs + self.up(self.down(inputs))

    def compute_output_shape(self, input_shape):
        """As the input."""
        return input_shape

    def get_config(self):
        """Return the arguments that rebuild this layer."""
        return {**super().get_config(), "width": self.width}


def add_residual_adapters(model, width=16):
    """Freeze a backbone and put a `ResidualAdapter` behind each of its blocks.

    The model gives what it gave before. The adapters and the head learn, all else is
    frozen; `set_trainable_depth` and the stages of `fine_tune` open the adapters of
    the last blocks. Give them the rate of a new head. Where `add_lora` changes
    matrices and can be merged, these add a step of their own, which stays.

    Args:
        model: Flat functional model, as `build_transfer_model` makes it without
            alignment. Its layers are shared, so train one of the two.
        width: Width of the adapters, at least 1.

    Returns:
        A new functional model, compiled as `model` is. Its `.keras` file loads with
        `tft.load_model`.

    Raises:
        ValueError: If the model is nested, has no layer named `features`, or has
            adapters already; or `width` is below 1.
        TypeError: If an argument has the wrong type.

    Example:

    >>> model = tft.build_transfer_model(
    ...     tft.load_backbone("keras:MobileNetV2", alpha=0.35, weights=None),
    ...     num_classes=10, image_size=(32, 32),
    ... )
    >>> adapted = tft.add_residual_adapters(model, width=4)
    >>> adapted.name == model.name, len(adapted.trainable_weights)
    (True, 78)

    Reference:
        [Houlsby et al., 2019](https://arxiv.org/abs/1902.00751), figure 2;
        [Rebuffi et al., 2018](https://arxiv.org/abs/1803.10082).
    """
    check_whole_number("width", width)
    check_flat(
        model, "Build it without alignment, and give the result to AlignedModel."
    )
    if has_residual_adapters(model):
        raise ValueError(
            "`model` must have no residual adapters yet. Received: "
            f"{model.name!r} with some. Train it as it is."
        )
    adapters = {id(x): f"{x.name}_adapter" for x in _last_layers(model)}
    made: dict = {}

    def call(layer, *args, **kwargs):
        outputs = layer(*args, **kwargs)
        if id(layer) not in adapters:
            return outputs
        if id(layer) not in made:
            name = adapters[id(layer)]
            made[id(layer)] = ResidualAdapter(width, name=name)
        return made[id(layer)](outputs)

    adapted = rewire(model, call)
    set_trainable_depth(adapted, "all", batch_norm="frozen")
    return adapted


def has_residual_adapters(model):
    """Whether `add_residual_adapters` made this model."""
    return any(isinstance(x, ResidualAdapter) for x in model._flatten_layers())


def _last_layers(model):
    """The layer at the end of each block, of the last one before the features."""
    for block in model_blocks(model):
        layers = [x for x in block.layers if x.name != FEATURES and _gives_map(x)]
        if layers:
            yield layers[-1]


def _gives_map(layer):
    """Whether a layer gives one floating tensor with a known width."""
    output = layer.output
    return (
        not isinstance(output, (list, tuple, dict))
        and "float" in str(output.dtype)
        and len(output.shape) > 1
        and output.shape[-1] is not None
    )
