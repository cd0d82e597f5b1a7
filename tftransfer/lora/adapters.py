"""LoRA on any Keras model: put adapters in, take them out again."""

import keras

from tftransfer.checks import check_positive, check_whole_number
from tftransfer.distribution.scope import scope_of
from tftransfer.freezing.depth import change_flags
from tftransfer.freezing.recompiling import recompile
from tftransfer.lora.adapted import Adapted, adapt, strip
from tftransfer.lora.targets import find_targets


def add_lora(model, rank, *, targets="auto", alpha=None):
    """Freeze a backbone and let thin adapters beside its matrices learn instead.

    A matrix W becomes `W + alpha / rank * A B`, with A of shape `(rows, rank)` random
    and B of shape `(rank, columns)` zero, so that the model gives what it gave before.
    A and B learn; so do depthwise kernels that are targeted, whole, as they are no
    larger than adapters would be, the head, and what an alignment learns. All else is
    frozen: `trainable = True` does not free it, and BatchNormalization keeps its
    statistics. Adapters take the rate of a new head rather than that of fine-tuning,
    and what learns whole a tenth of it: `fine_tune` sees to both unless it is given
    rates, `lora_rates` tells them for plain `fit`.

    The model itself is changed, and compiled again if it was. `set_trainable_depth`
    and the stages of `fine_tune` then open the adapters of the last blocks; with
    targets in these alone, the fast path runs all below once. `merge_lora` gives the
    plain architecture back, for export or quantization. Until then a `.keras` file
    holds the adapters and loads with `tft.load_model`. Matrices of every layer that
    Keras calls Dense, EinsumDense, Embedding or Conv can be adapted, also inside
    attention layers and transformer blocks; not those of separable and transposed
    convolutions, of recurrent layers, nor those with a constraint or quantization.

    Args:
        model: Functional or Sequential model, or a wrapper that has one as `.model`.
        rank: Width of the adapters, at least 1. A layer that has fewer weights than
            its adapters would have learns whole.
        targets: `"auto"`: query and value of attention where there is attention, else
            all convolutions and dense layers of the backbone, else embeddings. Or a
            string or list: names of layers; patterns such as `"block_1[56]_*"`; blocks,
            see `model_blocks`; kinds such as `"Conv2D"`, `"DepthwiseConv2D"`. A layer
            inside others goes by its own name, `"query"`, or by all of them,
            `"transformer_layer_5/self_attention_layer/query"`.
        alpha: Above 0: how strongly adapters count, `alpha / rank`; `None` is `rank`.

    Returns:
        `model`. `describe_lora(model)` tells how much of it learns.

    Raises:
        ValueError: If a target matches nothing, the model has adapters already or no
            graph, or a number is out of range. Nothing is changed then.
        TypeError: If an argument has the wrong type.

    Example:

    >>> inputs = keras.Input((8, 8, 3))
    >>> x = keras.layers.Conv2D(64, 3, name="block1_conv")(inputs)
    >>> x = keras.layers.DepthwiseConv2D(3, name="block2_dwconv")(x)
    >>> x = keras.layers.Conv2D(64, 1, name="block2_conv")(x)
    >>> x = keras.layers.GlobalAveragePooling2D(name="features")(x)
    >>> model = keras.Model(inputs, keras.layers.Dense(2)(x))
    >>> model = tft.add_lora(model, 4, targets="block2")
    >>> tft.describe_lora(model)
    layers with adapters: 1, whole: 1
    parameters that learn: 1,282 of 6,722 in full fine-tuning (19.1%)

    Reference:
        [Hu et al., 2021](https://arxiv.org/abs/2106.09685), equation 3.
    """
    check_whole_number("rank", rank)
    alpha = rank if alpha is None else alpha
    check_positive("alpha", alpha)
    if adapted_layers(model):
        raise ValueError(
            "`model` must have no adapters yet. Received: a model with adapters in "
            f"{adapted_layers(model)[0].name!r}. Call merge_lora(model) before."
        )
    adapters = {
        target: None if target.learns_whole(rank) else (rank, alpha)
        for target in find_targets(model, targets)
    }
    put_in(model, adapters)
    return model


def put_in(model, adapters):
    """Put adapters into a model, open them all, and compile it again.

    Args:
        model: As of `add_lora`, without adapters.
        adapters: Dict from `Candidate` to `(rank, alpha)`, or to `None` to let it
            learn whole.
    """
    owners = {id(target.owner): target.owner for target in adapters}
    with scope_of(model):
        for owner in owners.values():
            paths = {x.path: y for x, y in adapters.items() if x.owner is owner}
            adapt(owner, paths)
    change_flags(model, "all", "frozen")
    start_anew(model)


def merge_lora(model):
    """Add what adapters have learned to the weights and give the plain model back.

    The layers are of the classes they were, with as many weights, and give what they
    gave with adapters to 1e-5: save, export or quantize the model as any other. Its
    backbone is frozen afterwards, until `set_trainable_depth` opens it. The model
    itself is changed, and compiled again if it was.

    Args:
        model: Model that `add_lora` changed.

    Returns:
        `model`.

    Raises:
        ValueError: If the model has no adapters.

    Example:

    >>> inputs = keras.Input((8,))
    >>> x = keras.layers.Dense(8, name="features")(inputs)
    >>> model = keras.Model(inputs, keras.layers.Dense(2)(x))
    >>> len(tft.add_lora(model, 1).weights)
    6
    >>> len(tft.merge_lora(model).weights)
    4

    Reference:
        [Hu et al., 2021](https://arxiv.org/abs/2106.09685), section 4.1.
    """
    check_has_adapters(model)
    for layer in adapted_layers(model):
        strip(layer)
    change_flags(model, 0, "inference")
    start_anew(model)
    return model


def check_has_adapters(model):
    """Raise `ValueError` unless `add_lora` changed the model."""
    if not adapted_layers(model):
        raise ValueError(
            "`model` must have adapters. Received: "
            f"{type(model).__name__} {model.name!r} without. Call add_lora(model, "
            "rank) before."
        )


def adapted_layers(model):
    """List the layers that Keras saves with adapters in them."""
    return [layer for layer in model._flatten_layers() if isinstance(layer, Adapted)]


def start_anew(model):
    """Compile again, if compiled, and forget what was traced with other weights."""
    recompile(model)
    for part in model._flatten_layers():
        if isinstance(part, keras.Model):
            part.train_function = part.test_function = part.predict_function = None
