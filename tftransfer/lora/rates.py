"""How fast what learns whole beside adapters may move."""

from tftransfer.lora.adapters import check_has_adapters
from tftransfer.lora.low_rank import Learning, LowRank

_SLOWER = 0.1  # adapters start at zero; kernels that learn whole are pretrained


def lora_rates(model):
    """Return multipliers for a model with adapters, as `LayerwiseRates` takes them.

    Adapters are new and learn at the rate of a new head. Kernels that learn whole, as
    depthwise ones do, are pretrained: a tenth of that. `fine_tune` takes these by
    itself wherever the rates of all stages are `"auto"`, and the optimizer is one
    that `LayerwiseRates` takes.

    Args:
        model: Model that `add_lora` changed.

    Returns:
        Dict from the path of each weight that learns more slowly to its multiplier.

    Raises:
        ValueError: If the model has no adapters.

    Example:

    >>> inputs = keras.Input((8, 8, 3))
    >>> x = keras.layers.Conv2D(64, 3, name="block1_conv")(inputs)
    >>> x = keras.layers.DepthwiseConv2D(3, name="block2_dwconv")(x)
    >>> x = keras.layers.GlobalAveragePooling2D(name="features")(x)
    >>> model = keras.Model(inputs, keras.layers.Dense(2)(x))
    >>> tft.lora_rates(tft.add_lora(model, 4))
    {'block2_dwconv/kernel': 0.1, 'block2_dwconv/bias': 0.1}
    """
    check_has_adapters(model)
    learning = [x for x in model._flatten_layers() if isinstance(x, Learning)]
    whole = [layer for layer in learning if not isinstance(layer, LowRank)]
    return {
        weight.path: _SLOWER for layer in whole for weight in layer._trainable_variables
    }


def has_low_rank(model):
    """Whether a model has adapters beside its matrices."""
    return any(isinstance(layer, LowRank) for layer in model._flatten_layers())
