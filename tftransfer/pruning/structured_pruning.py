"""Structured pruning while a model trains on: fewer units, step by step."""

import dataclasses
from typing import Any

import keras
import numpy as np

from tftransfer.checks import check_choice, check_number, check_whole_number
from tftransfer.pruning.annealing import Annealing
from tftransfer.pruning.importance import CRITERIA, filter_norms, taylor_importance
from tftransfer.pruning.scores import Bound
from tftransfer.pruning.targets import check_units
from tftransfer.regularization.learning_blocks import read_values, sync_state


class StructuredPruning(keras.callbacks.Callback):
    """Switch off more and more units while a model trains on, and keep its accuracy.

    After the first epoch, which leaves all units and tells what accuracy there is to
    keep, those that count least go, and with every further epoch more of them, ever
    fewer at a time, while the rest learns to do without. What was switched off stays
    so. `shrink_model(model, pruning.kept)` then builds the model without them.

    Formula, for a layer of `n` units of which `f` are left at the end, after step t:

        left(t) = f + (n - f) (1 - t / epochs)^3, rounded

    Where accuracy has fallen further than allowed no units go until it is back. If it
    is not back after `patience` more epochs, pruning goes back to the last state that
    was good enough, with its weights, and training ends. When `fit` ends the model has
    the weights of the best epoch with the fewest units. What holds on the validation
    data holds elsewhere only as far as these are many. Give `fit` at least
    `epochs + 1` epochs, some more to recover, and no callback that restores weights of
    its own, such as `EarlyStopping(restore_best_weights=True)`.

    Units that are added to or multiplied with others (residual blocks,
    squeeze-and-excitation) are pruned with these, in all layers that make them; a
    block or the head is pruned where that takes nothing from outside. What reads the
    units has to learn, to make up for them: open it with `set_trainable_depth`, and
    give `fine_tune` `frozen_epochs=0`.

    Args:
        units: Dict from the name of a Dense or convolutional layer, of a block, see
            `model_blocks`, or `"head"` for all hidden layers of the head, to what is
            left of each layer there: an `int` of units or a `float` share of them.
        data: Labeled batches `(x, y)` of the training data to tell by which units
            count, or a tuple of arrays. `criterion="l2"` needs none.
        epochs: Steps, one an epoch, at least 1.
        max_drop: Points, hundredths of the metric, by which it may be below that
            before pruning; `None` prunes whatever becomes of it.
        criterion: `"taylor"`: by how much the loss changes without a unit, to first
            order; or `"l2"`: by the norm of the weights that make it, which says
            little where BatchNormalization follows.
        num_batches: Batches of `data` to measure on in each step, at least 1.
        monitor: Metric of `fit`; `"auto"` is the accuracy on the validation data.
        baseline: What the metric was before pruning, such as `0.93`; `None` takes the
            first epoch.
        patience: Epochs to wait for accuracy to come back, at least 0.
        verbose: Whether to print what is pruned, and the end.

    Attributes:
        kept: Dict from a layer to the numbers of its units that stay.
        table: List of dicts, one for each epoch: `epoch`, `units`, a dict from layer to
            units in it, `score`, the metric, and `is_kept`, whether it was near enough.

    Raises:
        ValueError: If a value is out of range; when `fit` begins, if `units` do not
            suit the model or what reads them is frozen; after the first epoch, if
            there is no such metric.
        TypeError: If an argument has the wrong type.

    Example:

    >>> inputs = keras.Input((4,))
    >>> hidden = keras.layers.Dense(64, activation="relu", name="hidden")(inputs)
    >>> model = keras.Model(inputs, keras.layers.Dense(3)(hidden))
    >>> model.compile("adam", keras.losses.SparseCategoricalCrossentropy(True))
    >>> train = np.eye(4).repeat(8, axis=0), np.arange(32) % 3
    >>> pruning = tft.StructuredPruning({"hidden": 8}, train, epochs=2, max_drop=None,
    ...     verbose=False)
    >>> history = model.fit(*train, epochs=3, callbacks=[pruning], verbose=0)
    >>> [row["units"]["hidden"] for row in pruning.table]  # 8 + 56 (1 - t / 2)^3
    [64, 15, 8]
    >>> tft.shrink_model(model, pruning.kept).count_params(), model.count_params()
    (67, 515)

    Reference:
        [Zhu & Gupta, 2017](https://arxiv.org/abs/1710.01878), equation 1;
        [Molchanov et al., 2019](https://arxiv.org/abs/1906.10771), section 3, and
        [Li et al., 2017](https://arxiv.org/abs/1608.08710), section 3.1, for what
        counts.
    """

    sets_weights = True  # `fine_tune` then leaves the choice of weights to it

    def __init__(
        self,
        units,
        data=None,
        *,
        epochs=5,
        max_drop=1.0,
        criterion="taylor",
        num_batches=8,
        monitor="auto",
        baseline=None,
        patience=2,
        verbose=True,
    ):
        super().__init__()
        check_units(units)
        check_whole_number("epochs", epochs)
        check_choice("criterion", criterion, CRITERIA)
        check_whole_number("num_batches", num_batches)
        check_whole_number("patience", patience, 0)
        if criterion == "taylor" and data is None:
            raise ValueError(
                '`data` must be labeled batches with criterion="taylor". Received: '
                'data=None. Pass the training data, or criterion="l2".'
            )
        if max_drop is not None:
            check_number("max_drop", max_drop, 0.0)
        self.units, self.data, self.epochs = dict(units), data, epochs
        self.criterion, self.num_batches = criterion, num_batches
        self.patience, self.verbose = patience, verbose
        self.table: list = []
        self._bound = Bound(monitor, max_drop, baseline)
        self._run: Any = None
        self._good: Any = None  # the last `_State` that was good enough
        self._waited = 0

    @property
    def kept(self):
        """Dict from a layer to the numbers of its units that stay, int arrays."""
        run = self._run
        return {} if run is None else run.kept

    def on_train_begin(self, logs=None):
        """Find the units, once for a model, and begin to hold what is switched off."""
        self._waited = 0
        if self._run is None or self._run.model is not self.model:
            self._run, self._good = Annealing(self.model, self.units), None
            self.table, self._bound = [], self._bound.anew()
            if self.verbose:
                print(f"StructuredPruning: {self._run.describe()}.")
        self._run.begin()

    def on_epoch_end(self, epoch, logs=None):
        """Look at the accuracy; switch off more, wait, or go back."""
        run = self._run
        sync_state(self.model)
        score = self._bound.read(logs)
        is_kept = self._bound.holds(score)
        counts = {name: len(places) for name, places in run.kept.items()}
        row = {"epoch": epoch, "units": counts, "score": score, "is_kept": is_kept}
        self.table.append(row)
        if is_kept:
            self._waited = 0
            self._note(score)
            is_last = epoch + 1 == self.params["epochs"]  # nothing would make up for it
            if run.step < self.epochs and not is_last:
                run.prune(self.epochs, self._importance)
        else:
            self._waited += 1
            if self._waited > self.patience:
                self._go_back(epoch)

    def on_train_end(self, logs=None):
        """Give the model the best weights with the fewest units."""
        self._restore()
        self._run.end()
        if self.verbose:
            print(f"StructuredPruning: {self._run.summarize(self.epochs)}.")

    def state_dict(self):
        """Return how far pruning has come, for a checkpoint: see `Resume`."""
        good = self._good
        return {
            "table": self.table,
            "waited": self._waited,
            "bound": vars(self._bound),
            "run": (self._run.step, self._run.removed),
            "good": good and (good.step, good.score, good.weights, good.removed),
        }

    def load_state_dict(self, state):
        """Go on with what `state_dict` returned."""
        self.table, self._waited = state["table"], state["waited"]
        vars(self._bound).update(state["bound"])
        self._run.go_to(*state["run"])
        self._good = state["good"] and _State(*state["good"])

    def _importance(self, groups):
        channels = self._run.channels
        if self.criterion == "l2":
            return filter_norms(channels, groups)
        return taylor_importance(
            self.model, channels, groups, self.data, num_batches=self.num_batches
        )

    def _note(self, score):
        good, step = self._good, self._run.step
        is_further = good is None or step > good.step
        if self._bound.is_set and (
            is_further or self._bound.is_better(score, good.score)
        ):
            weights = read_values(self.model.weights)
            self._good = _State(step, score, weights, self._run.removed)

    def _go_back(self, epoch):
        self.model.stop_training = True
        if self.verbose:
            least = self._bound.describe()
            print(
                f"StructuredPruning: below {least} after epoch {epoch + 1}; goes back."
            )

    def _restore(self):
        if self._good is None:
            return
        for variable, value in zip(self.model.weights, self._good.weights, strict=True):
            variable.assign(value)
        self._run.go_to(self._good.step, self._good.removed)


@dataclasses.dataclass
class _State:
    step: int
    score: float
    weights: list
    removed: np.ndarray
