"""The `trainable` flags of layers and variables, set so that they hold."""


def set_trainable(layer, value):
    """Set the flag of a layer and of everything in it.

    Under TensorFlow, assigning the value an attribute already has is skipped before
    Keras sees it: `model.trainable = True` leaves layers frozen one by one as they
    are. The opposite value first reaches every layer and variable.
    """
    layer.trainable = not value
    layer.trainable = value


def read_flags(model):
    """Read all flags of a model, to be given back to `restore_flags`."""
    layers = [(layer, layer.trainable) for layer in model._flatten_layers()]
    return layers, [(variable, variable.trainable) for variable in model.weights]


def restore_flags(flags):
    """Set all flags as they were when `read_flags` read them.

    Parents come before their children in `flags`, and variables last.
    """
    layers, variables = flags
    for layer, value in layers:
        set_trainable(layer, value)
    for variable, value in variables:
        variable.trainable = value
