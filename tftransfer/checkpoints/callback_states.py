"""What callbacks remember: early stopping its best epoch, a log its rows."""

import collections
import os
import warnings

import keras
import numpy as np

from tftransfer.checkpoints.plain import NotPlain, from_plain, to_plain

_NOT_STATE = {"_model", "model", "params", "validation_data"}
_CONTAINERS = (list, tuple, dict, set, collections.deque)
_OWN = ("keras.", "tftransfer.")


class CallbackState:
    """The state of one callback: what has changed in it since `fit` began.

    A callback with `state_dict()` and `load_state_dict(state)` says itself what it
    remembers. Of others it is the attributes that are data; those that are as they
    were before training are settings and stay what the program says.

    Args:
        callback: Keras callback, before training begins.
    """

    def __init__(self, callback):
        self.callback = callback
        self._speaks = hasattr(callback, "state_dict")
        self._settings: dict = {} if self._speaks else self._read()
        self._before = dict(vars(callback))
        self._has_warned = False

    def read(self, arrays):
        """Return the state as JSON; arrays go into a list of their own."""
        if self._speaks:
            return to_plain(self.callback.state_dict(), arrays)
        kept, state = self._read(), {}
        for name, (content, own) in kept.items():
            if not _is_same(self._settings.get(name), (content, own)):
                state[name] = to_plain(from_plain(content, own), arrays)
        self._warn_of_loss(kept)
        if isinstance(self.callback, keras.callbacks.CSVLogger):
            if self.callback.csv_file:
                self.callback.csv_file.flush()
                state["csv_bytes"] = os.path.getsize(self.callback.filename)
        return state

    def write(self, state, arrays):
        """Give the callback the state that `read` returned."""
        if self._speaks:
            self.callback.load_state_dict(from_plain(state, arrays))
            return
        for name in self._read():
            is_old = name in self._settings and name not in state
            if is_old and not self._is_of_this_process(name):
                setattr(self.callback, name, from_plain(*self._settings[name]))
        for name, value in state.items():
            if not self._is_of_this_process(name):
                setattr(self.callback, name, from_plain(value, arrays))

    def prepare(self, state):
        """Ready the callback for the beginning of a `fit` that goes on."""
        if not isinstance(self.callback, keras.callbacks.CSVLogger):
            return
        length, path = state.get("csv_bytes"), self.callback.filename
        if length is not None and os.path.exists(path):
            # Rows that were written after the checkpoint come once more.
            if os.path.getsize(path) >= length:
                os.truncate(path, length)
            self.callback.append = True

    def _read(self):
        found = {}
        for name, value in vars(self.callback).items():
            own: list = []
            try:
                content = to_plain(value, own)
            except NotPlain:
                continue
            if name not in _NOT_STATE:
                found[name] = content, own
        return found

    def _warn_of_loss(self, kept):
        """Warn once of what has changed and is more than data."""
        own = type(self.callback).__module__.startswith(_OWN)
        if own or self._has_warned:
            return
        lost = [
            name
            for name, value in vars(self.callback).items()
            if name not in kept
            and name not in _NOT_STATE
            and (self._before.get(name) is not value or isinstance(value, _CONTAINERS))
        ]
        if lost:
            self._has_warned = True
            warnings.warn(
                f"{type(self.callback).__name__} keeps more than data in "
                f"{', '.join(lost)}, which no checkpoint holds. Give it state_dict() "
                "and load_state_dict(state), or leave it out.",
                stacklevel=2,
            )

    def _is_of_this_process(self, name):
        is_log = isinstance(self.callback, keras.callbacks.CSVLogger)
        return is_log and name in ("append", "append_header", "csv_bytes", "keys")


def _is_same(one, other):
    if one is None or one[0] != other[0] or len(one[1]) != len(other[1]):
        return False
    pairs = zip(one[1], other[1], strict=True)
    return all(a.dtype == b.dtype and np.array_equal(a, b) for a, b in pairs)
