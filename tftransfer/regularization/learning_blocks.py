"""The blocks of a backbone that learn, while it trains."""

from keras import ops

from tftransfer.freezing.blocks import model_blocks
from tftransfer.freezing.depth import block_variables


def learning_blocks(model):
    """List the blocks of a model that learn, input to output, without the head.

    Args:
        model: `keras.Model` with a graph, or a wrapper of one.

    Returns:
        Dict from the name of a block to the `Block` and its variables that learn.

    Raises:
        ValueError: If `model` has no graph.
    """
    found = {}
    for block in model_blocks(model):
        learning = [x for x in block_variables(block) if x.trainable]
        if learning:
            found[block.name] = (block, learning)
    return found


def read_values(variables):
    """Copy the values of variables to memory of their own."""
    return [ops.convert_to_numpy(variable).copy() for variable in variables]


def sync_state(model):
    """Put the weights where the trainer has them into the model: JAX keeps its own."""
    if hasattr(model, "jax_state_sync"):
        model.jax_state_sync()
