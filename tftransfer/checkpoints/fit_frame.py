"""What a callback cannot see by itself: the `fit` that runs it."""

import inspect

import keras


def find_fit(callback):
    """Return callbacks, epoch iterator and validation data of the `fit` that calls.

    Keras tells a callback its model, but not the other callbacks, whose state belongs
    to that of the training, nor the data.

    Args:
        callback: The callback from one of whose hooks this is called.

    Returns:
        `keras.callbacks.CallbackList`, the iterator, and the validation data as given;
        `None` where no `fit` calls.
    """
    frame, callbacks = inspect.currentframe(), None
    while frame is not None:
        owner = frame.f_locals.get("self")
        if isinstance(owner, keras.callbacks.CallbackList) and callbacks is None:
            callbacks = owner
        iterator = frame.f_locals.get("epoch_iterator")
        if callbacks is not None and iterator is not None:
            if frame.f_code.co_name != "fit":
                return None
            return callbacks, iterator, frame.f_locals.get("validation_data")
        frame = frame.f_back
    return None
