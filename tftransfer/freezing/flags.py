"""The `trainable` flags of layers and variables, set so that they hold."""


def set_trainable(layer, value):
    """Set the flag of a layer and of everything in it.

    Under TensorFlow, assigning the value an attribute already has is skipped before
    Keras sees it: `model.trainable = True` leaves layers frozen one by one as they
    are. So every layer and variable inside is set on its own.
    """
    inside = layer._flatten_layers()
    for part in inside:
        part.trainable = value
    for part in inside:
        for variable in part._trainable_variables:
            variable.trainable = value


def set_own_flag(container, value):
    """Set the flag of a model without those of its layers."""
    container._trainable = value


def read_flags(model):
    """Read all flags of a model, to be given back to `restore_flags`."""
    layers = [(layer, layer.trainable) for layer in model._flatten_layers()]
    return layers, [(variable, variable.trainable) for variable in model.weights]


def restore_flags(flags):
    """Set all flags as they were when `read_flags` read them.

    Only what differs is set, parents before their children and variables last.
    """
    layers, variables = flags
    for layer, value in layers:
        layer.trainable = value
    for variable, value in variables:
        variable.trainable = value


def freeze_inside_frozen(model):
    """Freeze what lies inside frozen layers, as setting their flag had done.

    Layers that make others when they are built (KerasHub's transformer layers) come
    out of a `.keras` file frozen with weights inside that learn: Keras stores their own
    flag only.

    Args:
        model: `keras.Model`.

    Returns:
        Whether anything learned that should not.
    """
    found = False
    for layer in model._flatten_layers():
        inside = [part for part in layer._flatten_layers() if part is not layer]
        if not layer.trainable and any(part.trainable_variables for part in inside):
            set_trainable(layer, False)
            found = True
    return found


def has_adapters(layer):
    """Whether a layer, or one in it, is of those that `add_lora` lets learn."""
    inside = layer._flatten_layers()
    return any(getattr(part, "learns_with_adapters", False) for part in inside)
