"""Stages of fine-tuning: how long, how fast, and how much of the network learns."""

import dataclasses
import math
from typing import Any

import keras

from tftransfer.checks import check_choice, check_number, check_whole_number
from tftransfer.freezing.batch_norm import POLICIES
from tftransfer.freezing.depth import check_depth, is_backbone_frozen
from tftransfer.freezing.graph import graph_of
from tftransfer.freezing.recompiling import carries_on

SCHEDULES = ("constant", "cosine")
_SLOWER = 10  # how much slower a pretrained backbone learns than a new head


@dataclasses.dataclass(frozen=True)
class Stage:
    """One stage of `fine_tune`: some epochs at one depth and one rate.

    Args:
        epochs: Number of epochs, at least 1.
        learning_rate: The rate it begins with, above 0. `"auto"` is the model's own
            compiled rate where the backbone is frozen, and a tenth of it where some
            of the backbone learns; always the whole rate with `LayerwiseRates`, whose
            multipliers say what is slower.
        trainable_depth: How much of the backbone learns, see `set_trainable_depth`;
            `None` leaves it as it is.
        batch_norm: BatchNormalization in the open part, see `set_trainable_depth`.
        schedule: `"cosine"` lets the rate fall to zero within the stage (between
            epochs where the data do not know their length), `"constant"` keeps it.
        patience: With validation data, the stage ends after this many epochs without
            a lower validation loss; `None` never ends it early.
        data: Training data of this stage instead of those `fine_tune` gets, such as
            another labeled domain; of any kind it takes.

    Raises:
        ValueError: If a value is not acceptable.
        TypeError: If an argument has the wrong type.

    Example:

    >>> Stage(3, learning_rate=1e-3, trainable_depth=0).epochs
    3

    Reference:
        Cosine without restarts, equation 5 of
        [Loshchilov & Hutter, 2016](https://arxiv.org/abs/1608.03983).
    """

    epochs: int
    learning_rate: float | str = "auto"
    trainable_depth: int | float | str | None = None
    batch_norm: str = "inference"
    schedule: str = "cosine"
    patience: int | None = 3
    data: Any = dataclasses.field(default=None, repr=False, compare=False)

    def __post_init__(self):
        check_whole_number("epochs", self.epochs)
        check_learning_rate(self.learning_rate)
        check_choice("batch_norm", self.batch_norm, POLICIES)
        check_choice("schedule", self.schedule, SCHEDULES)
        if self.patience is not None:
            check_whole_number("patience", self.patience)


def check_learning_rate(learning_rate):
    """Raise unless `learning_rate` is `"auto"` or a number above 0."""
    if isinstance(learning_rate, str):
        check_choice("learning_rate", learning_rate, ["auto"], "Or pass a number.")
        return
    check_number("learning_rate", learning_rate, 0, advice='Pass "auto" if unsure.')
    if learning_rate == 0:
        raise ValueError(
            '`learning_rate` must be "auto" or a number above 0. '
            f"Received: learning_rate={learning_rate!r}. Nothing would learn."
        )


def check_stages(stages):
    """Raise unless `stages` is a non-empty list of `Stage`."""
    is_list = isinstance(stages, (list, tuple))
    if not is_list or not all(isinstance(stage, Stage) for stage in stages):
        raise TypeError(
            "`stages` must be a list of Stage. "
            f"Received: stages={stages!r}. Pass for example "
            "stages=[tft.Stage(2, trainable_depth=0), tft.Stage(5, trainable_depth=2)]."
        )
    if not stages:
        raise ValueError(
            "`stages` must be a list of at least one Stage. Received: stages=[]. "
            "Leave it out for the usual two."
        )


def plan_stages(model, *, epochs, frozen_epochs, **settings):
    """Make the usual stages: the head first, then what shall learn.

    Args:
        model: `keras.Model`.
        epochs: Epochs of the last stage.
        frozen_epochs: Epochs with a frozen backbone before it.
        settings: The other arguments of `Stage`, for the last stage.

    Returns:
        List of one or two `Stage`: one where the backbone stays frozen anyway, with
        the epochs of both.

    Raises:
        ValueError: If a value is not acceptable, or a frozen stage is asked for and
            the model has no graph.
    """
    advice = "Pass frozen_epochs=0 to train all that shall learn at once."
    check_whole_number("frozen_epochs", frozen_epochs, 0, advice)
    last = Stage(epochs, **settings)
    if not frozen_epochs:
        return [last]
    depth = last.trainable_depth
    _check_graph(model, frozen_epochs)
    check_depth(model, depth)
    # `True == 0` is no matter here: `check_depth` refused it.
    if depth == 0 or (depth is None and is_backbone_frozen(model)):
        return [dataclasses.replace(last, epochs=epochs + frozen_epochs)]
    return [dataclasses.replace(last, epochs=frozen_epochs, trainable_depth=0), last]


def _check_graph(model, frozen_epochs):
    try:
        graph_of(model)
    except ValueError:
        raise ValueError(
            "`frozen_epochs` must be 0 for a model that is neither functional nor has "
            "a functional .model: nothing tells its head. Received: "
            f"frozen_epochs={frozen_epochs}, model={type(model).__name__}. Pass "
            "frozen_epochs=0 and set layer.trainable yourself."
        ) from None


def stage_rate(stage, model, own_rate, steps_per_epoch):
    """Return the learning rate of a stage: a float or a Keras schedule.

    Args:
        stage: `Stage`.
        model: Model whose depth is already that of the stage.
        own_rate: The rate the model was compiled with, or its schedule.
        steps_per_epoch: Number of batches, `None` if not known.

    Raises:
        ValueError: If the rate is `"auto"` and the model was compiled with a schedule.
    """
    rate = stage.learning_rate
    if rate == "auto":
        carries = carries_on(getattr(model, "optimizer", None))
        whole = carries or _trains_head_only(model)
        rate = own_rate / (1 if whole else _SLOWER)
    if stage.schedule == "cosine" and steps_per_epoch:
        steps = stage.epochs * steps_per_epoch
        return keras.optimizers.schedules.CosineDecay(rate, steps)
    return rate


def check_own_rate(own_rate, stages):
    """Raise if a stage needs the model's own rate and that is no number."""
    if callable(own_rate) and any(stage.learning_rate == "auto" for stage in stages):
        raise ValueError(
            "`learning_rate` must be a number for a model compiled with a learning "
            "rate schedule. Received: learning_rate='auto' and "
            f"{type(own_rate).__name__}. Pass learning_rate=, or compile the model "
            "with a number: the stages have schedules of their own."
        )


def _trains_head_only(model):
    try:
        return is_backbone_frozen(model)
    except ValueError:
        return False  # no graph, so nothing tells a head


class CosinePerEpoch(keras.callbacks.Callback):
    """Cosine rate for data that do not know their length: it falls between epochs.

    Args:
        rate: Rate of the first epoch.
        first_epoch: Number of the first epoch.
        epochs: Number of epochs of the stage.
    """

    def __init__(self, rate, first_epoch, epochs):
        super().__init__()
        self.rate, self.first_epoch, self.epochs = rate, first_epoch, epochs

    def on_epoch_begin(self, epoch, logs=None):
        """Set the rate of this epoch."""
        done = (epoch - self.first_epoch) / self.epochs
        rate = self.rate * 0.5 * (1 + math.cos(math.pi * done))
        self.model.optimizer.learning_rate = rate
