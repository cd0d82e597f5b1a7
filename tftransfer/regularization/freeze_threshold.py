"""Freeze threshold: what hardly moves any more is no longer trained."""

import statistics
import time

import keras
import numpy as np

from tftransfer.checks import check_positive, check_whole_number
from tftransfer.freezing.while_training import freeze_while_training
from tftransfer.regularization.learning_blocks import (
    learning_blocks,
    read_values,
    sync_state,
)

_SLOWEST = 0.05  # share of the highest rate below which an epoch tells nothing


class FreezeThreshold(keras.callbacks.Callback):
    """Freeze each block of the backbone once it hardly moves.

    After every epoch the relative update of each block that learns is taken, as it
    would be at the highest learning rate so far:

        ||w - w_before|| / ||w_before|| * highest rate / rate in this epoch

    over its weights that learn, `w_before` being those an epoch ago: what a schedule
    slows down does not stand still, and epochs at less than a twentieth of the rate
    tell nothing. A block that stays below `threshold` in `checks` epochs in a row is
    frozen, for good, its BatchNormalization in inference mode. The optimizer keeps what
    it gathered for the rest. A frozen bottom without gaps needs no gradients; in
    `fine_tune`, where it pays (at least `2` epochs are left and the data allow it), it
    runs once more, is stored, and the epochs that are left run above it. Freezing means
    tracing the training step anew, so it happens between epochs only. The head always
    learns.

    A good threshold depends on the rate: look at `updates` of a short run, the lowest
    blocks of which are those to freeze.

    Args:
        threshold: Relative update below which a block stands still, above 0.
        checks: Epochs in a row that a block has to stand still, at least 1.
        verbose: Whether to print what is frozen, and at the end the time saved.

    Attributes:
        updates: List of dicts, one for each epoch, from block to relative update as
            it was.
        rates: List of the mean learning rate of each epoch.
        frozen: Dict from block to the epoch, from 0, after which it was frozen.
        seconds: List of the seconds from epoch to epoch, storing included.
        saved_seconds: What the epochs after the first freezing took less than the
            median before it, together; 0 where nothing was frozen.

    Raises:
        ValueError: If a value is out of range; in `fit`, at the first epoch in which
            anything could be frozen, if everything would be. Later all blocks may be
            frozen, and the head goes on.
        TypeError: If an argument has the wrong type.

    Example:

    >>> tft.FreezeThreshold(1e-3).checks
    2
    """

    def __init__(self, threshold, checks=2, *, verbose=True):
        super().__init__()
        check_positive("threshold", threshold)
        check_whole_number("checks", checks)
        self.threshold, self.checks, self.verbose = threshold, checks, verbose
        self.updates: list = []
        self.rates: list = []
        self.frozen: dict = {}
        self.seconds: list = []
        self._still: dict = {}  # from block to epochs in a row
        self._before: dict = {}
        self._num_looks = 0  # since training began
        self._rate, self._highest = 0.0, 0.0
        self._kept_apart: list = []  # whether each epoch was before the first freezing
        self._begun = 0.0

    @property
    def saved_seconds(self):
        """Seconds that the epochs after the first freezing took less than before."""
        pairs = list(zip(self.seconds, self._kept_apart, strict=True))
        usual = [seconds for seconds, is_whole in pairs if is_whole]
        if not usual or not self.frozen:
            return 0.0
        # The first epoch traces and would flatter.
        whole = statistics.median(usual[1:] or usual)
        return float(
            sum(whole - seconds for seconds, is_whole in pairs if not is_whole)
        )

    def on_train_begin(self, logs=None):
        """Begin to watch the blocks that learn now."""
        self._still, self._before, self._num_looks = {}, self._read(), 0
        self._rate = _read_rate(self.model.optimizer)
        self._begun = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        """Take the relative updates, and freeze what stands still."""
        ended = time.perf_counter()
        self.seconds.append(ended - self._begun)
        self._begun = ended
        self._kept_apart.append(not self.frozen)
        sync_state(self.model)
        now = self._read()
        update = {
            name: _relative_update(values, self._before[name])
            for name, values in now.items()
            if name in self._before
        }
        self.updates.append(update)
        self._before = now
        slowed = self._note_rate(bool(update))
        if slowed < _SLOWEST:
            return
        self._num_looks += 1
        update = {name: value / slowed for name, value in update.items()}
        for name, value in update.items():
            is_still = value < self.threshold
            self._still[name] = self._still.get(name, 0) + 1 if is_still else 0
        self._freeze(epoch, update)

    def on_train_end(self, logs=None):
        """Tell the time saved."""
        if self.verbose and self.frozen:
            print(
                f"FreezeThreshold: {len(self.frozen)} blocks frozen, "
                f"{self.saved_seconds:.1f} s saved in {len(self.seconds)} epochs."
            )

    def _note_rate(self, learns):
        """Return the mean rate of this epoch, as a share of the highest one so far."""
        before, self._rate = self._rate, _read_rate(self.model.optimizer)
        self.rates.append((before + self._rate) / 2)
        if learns:
            self._highest = max(self._highest, self.rates[-1])
        return self.rates[-1] / self._highest if self._highest else 0.0

    def _read(self):
        blocks = learning_blocks(self.model)
        return {name: read_values(variables) for name, (_, variables) in blocks.items()}

    def _freeze(self, epoch, update):
        names = [name for name in update if self._still[name] >= self.checks]
        if not names:
            return
        at_once = not self.frozen and self._num_looks == self.checks
        if at_once and len(names) == len(update) and len(update) > 1:
            self._refuse_all(update)
        blocks = learning_blocks(self.model)
        freeze_while_training(self.model, [blocks[name][0] for name in names])
        for name in names:
            self.frozen[name] = epoch
            del self._before[name]
        if self.verbose:
            print(
                f"FreezeThreshold: {', '.join(names)} frozen after epoch {epoch + 1}; "
                f"{len(update) - len(names)} blocks go on."
            )

    def _refuse_all(self, update):
        low, high = min(update.values()), max(update.values())
        raise ValueError(
            "`threshold` must leave something of the backbone to learn. Received: "
            f"threshold={self.threshold!r}, and in {self.checks} epochs in a row all "
            f"{len(update)} blocks moved by less, from {low:.2g} to {high:.2g} in the "
            "last. Pass a threshold between these, or freeze the backbone with "
            "trainable_depth=0."
        )


def _read_rate(optimizer):
    """Return the rate of an optimizer now; 1 where it has none of its own."""
    rate = getattr(optimizer, "learning_rate", 1.0)
    return float(keras.ops.convert_to_numpy(rate))


def _relative_update(values, before):
    moved = sum(
        float(np.sum((x.astype("float64") - y.astype("float64")) ** 2))
        for x, y in zip(values, before, strict=True)
    )
    size = sum(float(np.sum(y.astype("float64") ** 2)) for y in before)
    return float(np.sqrt(moved / size)) if size else float(moved > 0)
