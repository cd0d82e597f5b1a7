"""Parameter decay: what the pretrained weights say fades, what was learned stays."""

import dataclasses
import math
from typing import Any

import keras

from tftransfer.checks import check_choice, check_number, check_whole_number
from tftransfer.regularization.learning_blocks import learning_blocks, read_values

SCHEDULES = ("linear", "cosine", "exponential")


class ParameterDecay(keras.callbacks.Callback):
    """Let the pretrained weights fade on a schedule while fine-tuning goes on.

    A weight is what it was before training plus all updates since. The first part is
    multiplied by a share that falls from 1 to `final_share` over some epochs, the
    updates are left whole. So a network begins as a pretrained one and leaves behind
    what the task does not confirm; with `final_share=1` nothing fades. Kernels and
    embeddings of the backbone that learn fade; biases, scales, offsets and statistics
    do not, nor does the head.

    Formula, at the beginning of epoch t, counted from 0 where a weight first learns,
    with `w0` the weights before that:

        w <- w - (c(t - 1) - c(t)) * w0

    and with `s = min(t / epochs, 1)` and `f = final_share`:

        linear       c(t) = 1 - (1 - f) s
        cosine       c(t) = f + (1 - f) (1 + cos(pi s)) / 2
        exponential  c(t) = f^s

    Args:
        final_share: Share that is left at the end, in 0..1; above 0 for
            `"exponential"`.
        epochs: Epochs until then, at least 1. They count on from stage to stage.
        schedule: `"linear"`, `"cosine"` or `"exponential"`.

    Raises:
        ValueError: If a value is out of range.
        TypeError: If one has the wrong type.

    Example:

    >>> decay = tft.ParameterDecay(0.5, epochs=2)
    >>> [decay.share(epoch) for epoch in range(4)]
    [1.0, 0.75, 0.5, 0.5]
    """

    def __init__(self, final_share, epochs, *, schedule="linear"):
        super().__init__()
        check_number("final_share", final_share, 0.0, 1.0)
        check_whole_number("epochs", epochs)
        check_choice("schedule", schedule, SCHEDULES)
        if schedule == "exponential" and final_share == 0:
            raise ValueError(
                '`final_share` must be above 0 with schedule="exponential". Received: '
                'final_share=0. Pass for example 0.01, or schedule="linear".'
            )
        self.final_share, self.epochs, self.schedule = final_share, epochs, schedule
        self._fading: dict = {}

    def share(self, epoch):
        """Share of the pretrained weights that is left in an epoch, counted from 0."""
        final, done = self.final_share, min(epoch / self.epochs, 1.0)
        if self.schedule == "exponential":
            return float(final**done)
        if self.schedule == "cosine":
            done = 0.5 * (1 - math.cos(math.pi * done))
        return 1.0 - (1.0 - final) * done

    def on_train_begin(self, logs=None):
        """Remember the weights that have not learned before."""
        own = {id(variable) for variable in self.model.weights}
        self._fading = {k: x for k, x in self._fading.items() if k in own}
        for _, learning in learning_blocks(self.model).values():
            kernels = [x for x in learning if len(x.shape) > 1]
            for variable, value in zip(kernels, read_values(kernels), strict=True):
                self._fading.setdefault(id(variable), _Fading(variable, value))

    def on_epoch_begin(self, epoch, logs=None):
        """Take from the weights what fades before this epoch."""
        for fading in self._fading.values():
            if fading.variable.trainable:
                fading.first = epoch if fading.first is None else fading.first
                fading.fade_to(self.share(max(epoch - fading.first, 0)))

    def state_dict(self):
        """Return what fades and how far, for a checkpoint: see `Resume`."""
        places = {id(variable): i for i, variable in enumerate(self.model.weights)}
        return {
            places[key]: (fading.start, fading.first, fading.share)
            for key, fading in self._fading.items()
            if key in places
        }

    def load_state_dict(self, state):
        """Go on with what `state_dict` returned."""
        weights = self.model.weights
        self._fading = {
            id(weights[i]): _Fading(weights[i], *told) for i, told in state.items()
        }


@dataclasses.dataclass
class _Fading:
    variable: Any
    start: Any
    first: int | None = None
    share: float = 1.0

    def fade_to(self, share):
        if share < self.share:  # never back, where epochs count from 0 again
            self.variable.assign_sub((self.share - share) * self.start)
            self.share = share
