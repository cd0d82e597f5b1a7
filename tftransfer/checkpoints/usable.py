"""What kind of `fit` can be gone on with exactly."""

import keras


def check_usable(model, iterator):
    """Raise `ValueError` unless a `fit` can be gone on with exactly.

    Args:
        model: Compiled `keras.Model`.
        iterator: Epoch iterator of Keras.
    """
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            "`Resume` must be used with the TensorFlow backend. Received: backend "
            f"{keras.backend.backend()!r}. Set KERAS_BACKEND=tensorflow, or save with "
            "keras.callbacks.BackupAndRestore, which is not exact."
        )
    if iterator.steps_per_epoch:
        raise ValueError(
            "`steps_per_epoch` must be left out with Resume: an epoch is one pass over "
            f"the data. Received: steps_per_epoch={iterator.steps_per_epoch}. Leave "
            "out .repeat() too, or cut the dataset with .take(steps)."
        )
    if not model.built or not model.weights:
        raise ValueError(
            "`model` must have its weights before `fit` with Resume. Received: "
            f"{type(model).__name__} that is not built yet. Give it a keras.Input, or "
            "call it once on a batch."
        )
