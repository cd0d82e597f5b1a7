"""One call of `fit` in pieces, each above what is frozen by then."""

import contextlib

import keras

from tftransfer.acceleration.frozen_cuts import find_frozen_cuts
from tftransfer.freezing.graph import graph_of
from tftransfer.freezing.recompiling import plain_optimizer

_LEAST_EPOCHS = 2  # left: the frozen part runs once more before it is spared


def fit_in_pieces(model, run, *, initial_epoch, epochs, callbacks, resume=None):
    """Call `fit`, and again wherever a callback has frozen more of the bottom.

    Each piece then stores what its frozen part gives, further up than the one before.
    To callbacks all pieces are one call of `fit`: training begins and ends once.

    Args:
        model: `keras.Model`.
        run: Function of `initial_epoch`, `epochs` and `callbacks` that calls `fit` and
            returns its `History`.
        initial_epoch: As of `fit`.
        epochs: As of `fit`.
        callbacks: List of Keras callbacks.
        resume: What knows the piece to go on with, and is told of each that begins;
            or `None`.

    Returns:
        `keras.callbacks.History` of all pieces.
    """
    joined, has_begun = None, False
    if resume is not None:
        initial_epoch, joined = resume.find_piece(initial_epoch)
    freezes = any(hasattr(callback, "frozen") for callback in callbacks)
    if not freezes or getattr(plain_optimizer(model.optimizer), "use_ema", False):
        # With a moving average each piece would end with the averaged weights.
        if resume is not None:
            resume.begin_piece(initial_epoch, None)
        return run(initial_epoch=initial_epoch, epochs=epochs, callbacks=callbacks)
    while True:
        pause = _Pause(epochs)
        if resume is not None:
            resume.begin_piece(initial_epoch, joined)
        with _as_one(callbacks, has_begun, pause):
            part = run(
                initial_epoch=initial_epoch,
                epochs=epochs,
                callbacks=[*callbacks, pause],
            )
        joined, has_begun = _join(joined, part), True
        if not pause.pauses:
            return joined
        initial_epoch = part.epoch[-1] + 1


class _Pause(keras.callbacks.Callback):
    """Ends a piece where the frozen bottom has grown and enough epochs are left."""

    def __init__(self, epochs):
        super().__init__()
        self.epochs, self.pauses, self._height = epochs, False, None

    def on_train_begin(self, logs=None):
        """Note how far up the model is frozen."""
        self._height = _frozen_height(self.model)

    def on_epoch_end(self, epoch, logs=None):
        """End the piece, unless somebody ends the training anyway."""
        if self.model.stop_training or self.epochs - epoch - 1 < _LEAST_EPOCHS:
            return
        self.pauses = _frozen_height(self.model) > self._height
        if self.pauses:
            self.model.stop_training = True


def _frozen_height(model):
    """Position of the highest cut below all that learns, -1 where there is none."""
    cuts = find_frozen_cuts(graph_of(model)).cuts
    return cuts[-1][0].position if cuts else -1


@contextlib.contextmanager
def _as_one(callbacks, has_begun, pause):
    """Keep the beginning and the end of a piece in the middle from callbacks."""
    changed = []

    def change(callback, name, is_heard):
        heard = getattr(callback, name)
        own = vars(callback).get(name)
        changed.append((callback, name, own))
        setattr(callback, name, lambda logs=None: is_heard() and heard(logs))

    for callback in callbacks:
        if has_begun:
            change(callback, "on_train_begin", lambda: False)
        change(callback, "on_train_end", lambda: not pause.pauses)
    try:
        yield
    finally:
        for callback, name, own in changed:
            delattr(callback, name)
            if own is not None:  # that of a `LambdaCallback`
                setattr(callback, name, own)


def _join(first, part):
    if first is None:
        return part
    part.epoch[:0] = first.epoch
    for name, values in part.history.items():
        values[:0] = first.history.get(name, [])
    return part
