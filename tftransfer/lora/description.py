"""How much of a model with adapters learns."""

import dataclasses
import math

from tftransfer.lora.adapted import held_variables
from tftransfer.lora.adapters import check_has_adapters
from tftransfer.lora.low_rank import factors_of
from tftransfer.lora.targets import adapted_targets


@dataclasses.dataclass(frozen=True)
class LoraDescription:
    """What learns in a model with adapters; `print` shows it.

    Attributes:
        ranks: Dict from the name of a layer with adapters to its rank.
        whole: Tuple of the names of layers of the backbone that learn whole.
        num_trainable: Number of weights that learn now, head included.
        num_full: Number of weights that would learn in full fine-tuning.
    """

    ranks: dict
    whole: tuple
    num_trainable: int
    num_full: int

    @property
    def trainable_share(self):
        """Weights that learn over those of full fine-tuning."""
        return self.num_trainable / self.num_full

    def __str__(self):
        return (
            f"layers with adapters: {len(self.ranks)}, whole: {len(self.whole)}\n"
            f"parameters that learn: {self.num_trainable:,} of {self.num_full:,} in "
            f"full fine-tuning ({self.trainable_share:.1%})"
        )

    __repr__ = __str__


def describe_lora(model):
    """Count what learns in a model with adapters, against full fine-tuning.

    Statistics of BatchNormalization count in neither.

    Args:
        model: Model that `add_lora` changed.

    Returns:
        A `LoraDescription`: print it, or read its attributes.

    Raises:
        ValueError: If the model has no adapters.

    Example:

    >>> inputs = keras.Input((64,))
    >>> x = keras.layers.Dense(64, use_bias=False, name="features")(inputs)
    >>> model = keras.Model(inputs, keras.layers.Dense(1, use_bias=False)(x))
    >>> tft.describe_lora(tft.add_lora(model, 2))  # 2 x (64 + 64) + 64 of 64 x 64 + 64
    layers with adapters: 1, whole: 0
    parameters that learn: 320 of 4,160 in full fine-tuning (7.7%)
    """
    check_has_adapters(model)
    layers = adapted_targets(model)
    factors = {id(x) for y in layers for x in factors_of(y.layer)}
    full = [
        variable
        for layer in model._flatten_layers()
        for variable in [*layer._trainable_variables, *held_variables(layer)]
        if id(variable) not in factors
    ]
    return LoraDescription(
        ranks={x.name: x.layer.adapter_rank for x in layers if factors_of(x.layer)},
        whole=tuple(x.name for x in layers if not factors_of(x.layer)),
        num_trainable=_count(model.trainable_weights),
        num_full=_count(full),
    )


def _count(variables):
    return sum(math.prod(variable.shape) for variable in variables)
