"""Whether what lies below a cut is the same in training as in inference."""

import keras
import numpy as np
from keras import ops


def check_frozen(cut, inputs, *, draws=False):
    """Say why the part below `cut` is not the same in training, or return `None`.

    It is run both ways on some rows: its outputs must be equal to the bit, no variable
    may move, and no loss may be added.

    Args:
        cut: `Cut`.
        inputs: A few rows of what the model takes.
        draws: Whether outputs may differ, as layers below draw at random.

    Returns:
        One line, or `None`.
    """
    operations = {id(call.operation): call.operation for call in cut.calls_below}
    parts = [x for x in operations.values() if isinstance(x, keras.Layer)]
    variables = [v for layer in parts for v in layer.variables]
    before = [ops.convert_to_numpy(v).copy() for v in variables]
    try:
        calm = ops.convert_to_numpy(cut.run_below(inputs, training=False))
        lively = ops.convert_to_numpy(cut.run_below(inputs, training=True))
        losses = [loss for layer in parts for loss in layer._get_own_losses()]
        moved = [
            v.path
            for v, old in zip(variables, before, strict=True)
            if not np.array_equal(ops.convert_to_numpy(v), old, equal_nan=True)
            and not v.path.endswith("seed_generator_state")
        ]
    finally:
        for variable, old in zip(variables, before, strict=True):
            variable.assign(old)
        for layer in parts:
            layer._clear_losses()
    if moved:
        return f"training moves {moved[0]!r} below {cut.name!r}"
    if losses:
        return f"a layer below {cut.name!r} adds to the loss"
    if not draws and not np.array_equal(calm, lively, equal_nan=True):
        return f"what lies below {cut.name!r} gives other values in training"
    return None


def check_parts(cut, inputs):
    """Say why the parts below and above `cut` do not make the model, or return `None`.

    Args:
        cut: `Cut`.
        inputs: A few rows of what the model takes.

    Returns:
        One line, or `None`.
    """
    whole = keras.tree.flatten(cut.model(inputs, training=False))
    below = cut.run_below(inputs, training=False)
    parts = keras.tree.flatten(cut.run_above(below, training=False))
    for expected, found in zip(whole, parts, strict=True):
        expected, found = map(ops.convert_to_numpy, (expected, found))
        if not np.allclose(found, expected, rtol=1e-3, atol=1e-5, equal_nan=True):
            return f"the parts below and above {cut.name!r} do not make the model"
    return None
