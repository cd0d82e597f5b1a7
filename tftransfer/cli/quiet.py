"""Start TensorFlow without what it prints of itself."""

import os
import sys
import tempfile


def start_tensorflow():
    """Import TensorFlow and find its devices while standard error is kept aside.

    Its libraries write about the processor before any log level counts, straight to
    the file descriptor; on a screen that hides the one line a user needs. If the start
    fails, everything is shown.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    screen = os.dup(2)
    with tempfile.TemporaryFile() as aside:
        os.dup2(aside.fileno(), 2)
        try:
            import tensorflow as tf

            tf.config.list_physical_devices()
        except BaseException:
            aside.seek(0)
            os.write(screen, aside.read())
            raise
        finally:
            os.dup2(screen, 2)
            os.close(screen)
