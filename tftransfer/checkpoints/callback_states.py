"""What callbacks remember: early stopping its best epoch, a log its rows."""

import os
import warnings

import keras

from tftransfer.checkpoints.plain import NotPlain, from_plain, is_plain, to_plain

_NOT_STATE = {"_model", "model", "params", "validation_data"}


def read_callback(callback, arrays):
    """Return the state of a callback as JSON; arrays go into a list of their own.

    A callback with `state_dict()` and `load_state_dict(state)` says itself what it
    remembers. Of others it is the attributes that are data.

    Args:
        callback: Keras callback.
        arrays: List of arrays, which grows.
    """
    if hasattr(callback, "state_dict"):
        return to_plain(callback.state_dict(), arrays)
    state = {}
    for name, value in vars(callback).items():
        if name in _NOT_STATE:
            continue
        try:
            state[name] = to_plain(value, arrays)
        except NotPlain:
            continue
    if isinstance(callback, keras.callbacks.CSVLogger) and callback.csv_file:
        callback.csv_file.flush()
        state["csv_bytes"] = os.path.getsize(callback.filename)
    return state


def write_callback(callback, state, arrays):
    """Give a callback the state that `read_callback` returned."""
    if hasattr(callback, "state_dict"):
        callback.load_state_dict(from_plain(state, arrays))
        return
    for name, value in state.items():
        if name != "csv_bytes" and not _is_of_this_process(callback, name):
            setattr(callback, name, from_plain(value, arrays))


def prepare_callback(callback, state):
    """Ready a callback for the beginning of a `fit` that goes on where one was.

    Args:
        callback: Keras callback.
        state: What `read_callback` returned.
    """
    if not isinstance(callback, keras.callbacks.CSVLogger):
        return
    length = state.get("csv_bytes")
    if length is not None and os.path.exists(callback.filename):
        # Rows that were written after the checkpoint come once more.
        if os.path.getsize(callback.filename) >= length:
            os.truncate(callback.filename, length)
        callback.append = True


def warn_of_lost_state(callbacks):
    """Warn of callbacks with containers in them that cannot be kept."""
    for callback in callbacks:
        if hasattr(callback, "state_dict") or type(callback).__module__.startswith(
            ("keras.", "tftransfer.")
        ):
            continue
        lost = [
            name
            for name, value in vars(callback).items()
            if name not in _NOT_STATE
            and isinstance(value, (list, tuple, dict, set))
            and not is_plain(value)
        ]
        if lost:
            warnings.warn(
                f"{type(callback).__name__} keeps more than data in {', '.join(lost)}, "
                "which no checkpoint holds. Give it state_dict() and "
                "load_state_dict(state), or leave it out.",
                stacklevel=2,
            )


def _is_of_this_process(callback, name):
    is_log = isinstance(callback, keras.callbacks.CSVLogger)
    return is_log and name in ("append", "append_header", "filename")
