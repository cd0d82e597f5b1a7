"""Which model an optimizer is being built for."""

import inspect

import keras


def calling_model(variables):
    """Return the model from one of whose methods this is called, at any distance.

    Keras builds an optimizer on a list of variables, in `fit` and when a file is
    loaded, and tells it nothing of the model; only the model knows layers and blocks.

    Args:
        variables: List of `keras.Variable`, all of them weights of the model.

    Returns:
        `keras.Model`, or `None` outside of a model's methods.
    """
    wanted = set(map(id, variables))
    frame = inspect.currentframe()
    while frame is not None:
        owner = frame.f_locals.get("self")
        if isinstance(owner, keras.Model) and wanted <= set(map(id, owner.weights)):
            return owner
        frame = frame.f_back
    return None
