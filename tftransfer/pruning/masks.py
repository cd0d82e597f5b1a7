"""Units that are switched off while a model trains on."""

import keras
import numpy as np
from keras import ops


class Masks:
    """Holds what reads some units at zero, whatever an optimizer does to it.

    A unit that nobody reads counts for nothing, whatever it gives; so the model with
    masks gives what it gives without those units. The optimizer applies the masks as
    constraints of the weights, in every step, however many run in one graph.

    Args:
        channels: `Channels`.
        groups: Int array, the groups that may be switched off.
    """

    def __init__(self, channels, groups):
        self.readers = [
            part
            for part in channels.slices
            if part.role == "reads" and np.isin(part.groups, groups).any()
        ]
        self._masks = [
            keras.Variable(ops.ones(_along(part)), trainable=False, name="pruning_mask")
            for part in self.readers
        ]
        self._before: list = []

    def install(self, model):
        """Begin to constrain what reads the units, while a model trains."""
        self._before = [part.variable.constraint for part in self.readers]
        parts = zip(self.readers, self._masks, self._before, strict=True)
        for part, mask, before in parts:
            part.variable.constraint = _Masked(mask, before)
        trace_again(model)

    def remove(self, model):
        """Leave the weights as they are, under their own constraints."""
        for part, before in zip(self.readers, self._before, strict=True):
            part.variable.constraint = before
        self._before = []
        trace_again(model)

    def set(self, model, removed):
        """Switch units off, and all others on.

        Args:
            model: The model, in `fit`.
            removed: Int array of groups.
        """
        for part, mask in zip(self.readers, self._masks, strict=True):
            keeps = ~np.isin(part.groups, removed)
            mask.assign(keeps.reshape(_along(part)).astype("float32"))
            part.variable.assign(_Masked(mask, None)(part.variable))
        if self._before and keras.backend.backend() == "jax":
            trace_again(model)  # where masks are constants of the compiled step


class _Masked(keras.constraints.Constraint):
    def __init__(self, mask, before):
        self._mask, self._before = mask, before

    def __call__(self, w):
        w = w if self._before is None else self._before(w)
        return ops.multiply(w, ops.cast(self._mask, w.dtype))


def _along(part):
    """Shape of a vector along one axis of a weight."""
    shape = [1] * len(part.variable.shape)
    shape[part.axis] = len(part.groups)
    return tuple(shape)


def trace_again(model):
    """Let `fit` trace the training step anew, at once or when it is called next."""
    if hasattr(model.train_function, "trace_again"):  # that of the fast path
        model.train_function.trace_again()
    elif model.train_function is not None:
        model.make_train_function(force=True)
