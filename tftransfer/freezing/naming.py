"""Names of blocks, read from the names of their layers instead of a table."""

import os
import re

# The last such word, with its number, ends the name of a block: `block5_conv1`,
# `conv4_block2_1_conv`, `block_16_project`, `block35_1_mixed`, `stage_0_block_1_gelu`.
_BLOCK = re.compile(
    r"^.*(?:block|expanded_conv|cell)(?:_?\d+[a-z]?(?:_\d+)?)?(?=_|$)", re.IGNORECASE
)
_ROLES = {  # words that tell what a layer does, not where it is
    *("act", "activation", "add", "bn", "concat", "conv", "conv2d", "depthwise"),
    *("dwconv", "layernorm", "norm", "pad", "pool", "project", "relu"),
}


def block_name(layers):
    """Name of a block with these `layers`, in order from input to output.

    It is what their names have in common; where that is nothing, the name of the last
    one, where branches meet (`mixed3`). Names given by Keras itself (`conv2d_3`) say
    nothing: the name of the largest layer is taken if there are no others.
    """
    names = [layer.name for layer in layers if not _is_auto(layer)]
    if not names:
        return max(layers, key=lambda layer: layer.count_params()).name
    shared = _common_words(names) or names[-1]
    block = _BLOCK.match(shared)
    return block.group() if block else _without_roles(shared)


def _is_auto(layer):
    snake = re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", type(layer).__name__)
    snake = re.sub(r"([a-z])([A-Z])", r"\1_\2", snake).lower()
    return re.fullmatch(rf"{snake}(_\d+)?", layer.name) is not None


def _common_words(names):
    # `bn_Conv1` belongs to `Conv1`.
    words = [re.sub(r"^bn_", "", name).split("_") for name in names]
    return "_".join(os.path.commonprefix(words))


def _without_roles(name):
    words = name.split("_")
    while len(words) > 1 and words[-1].lower() in _ROLES:
        words.pop()
    return "_".join(words)
