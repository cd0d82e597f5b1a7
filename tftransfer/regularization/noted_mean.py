"""A mean of values made inside a model's `call`, on every Keras backend."""

import keras


class NotedMean(keras.metrics.Mean):
    """The mean over an epoch of a value that arises inside `call`.

    JAX's trainer hides metrics from `call`: there a value is noted, and counted when
    the loss is computed.
    """

    _noted = None

    def note(self, value):
        """Count a value, or note it.

        Args:
            value: Scalar tensor.
        """
        if keras.backend.backend() == "jax":
            self._noted = value
        else:
            self.update_state(value)

    def count_noted(self):
        """Count what was noted."""
        if self._noted is not None:
            self.update_state(self._noted)
        self.forget()

    def forget(self):
        """Drop what was noted, in a trace that came to nothing."""
        self._noted = None
