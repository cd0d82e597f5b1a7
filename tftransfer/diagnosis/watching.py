"""What layers of any model take while it runs."""

import contextlib


@contextlib.contextmanager
def watching(layers, note):
    """Tell of every call of some layers as long as the context is open.

    Works inside nested and subclassed models. A call that was traced into a
    `tf.function` before is not seen; one that is traced now hands over symbols.

    Args:
        layers: List of `keras.Layer`.
        note: Function `(layer, inputs)`, called before each of their calls.
    """
    watched = [layer for layer in layers if "call" not in vars(layer)]
    for layer in watched:
        # Past `__setattr__`, which would track the function as the layer's own.
        vars(layer)["call"] = _telling(layer, layer.call, note)
    try:
        yield
    finally:
        for layer in watched:
            vars(layer).pop("call")


def _telling(layer, call, note):
    def telling_call(inputs, *args, **kwargs):
        note(layer, inputs)
        return call(inputs, *args, **kwargs)

    return telling_call


def is_eager(tensor):
    """Whether a tensor has values, not only a shape."""
    return hasattr(tensor, "__array__") and not _is_symbolic(tensor)


def _is_symbolic(tensor):
    return hasattr(tensor, "graph") and not hasattr(tensor, "numpy")
