"""Ctrl-C that is not lost while a model trains.

Python raises it wherever the program is, and drops it where that is a finalizer. So it
is noted as well, and raised again at the end of the epoch.
"""

import contextlib
import signal
import threading


@contextlib.contextmanager
def interrupts_kept():
    """Yield a list of callbacks for `fit` that stop it where Ctrl-C was dropped."""
    import keras

    noted = threading.Event()

    class Interrupted(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if noted.is_set():
                raise KeyboardInterrupt

    def note(number, frame):
        noted.set()
        signal.default_int_handler(number, frame)

    if threading.current_thread() is not threading.main_thread():
        yield []
        return
    before = signal.signal(signal.SIGINT, note)
    try:
        yield [Interrupted()]
    finally:
        signal.signal(signal.SIGINT, before)
